%% if reporting
# Reporting a fault

Send the smallest file that shows it, the command, what came out and what should have come out. A ticket is made from
that; whoever repairs it names the ticket in the commit or in the branch.
%% end
