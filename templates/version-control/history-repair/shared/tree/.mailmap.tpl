%% if mailmap
<<authors>>
%% end
