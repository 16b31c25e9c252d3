%% if license
For use within the house. Whoever gets a copy may read and change it.
%% end
