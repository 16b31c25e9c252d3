%% if authors
<<authors>>
%% end
