%% if doc2
# Writing rules

Begin with samples/rules.json. A rule that isn't there does nothing, so an empty object counts every minute.
%% if x1

A break is taken off once for each entry. Who writes the morning and the afternoon in two lines has had the break already.
%% end
%% end
