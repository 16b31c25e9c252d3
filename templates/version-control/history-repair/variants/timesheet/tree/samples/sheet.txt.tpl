# February
2020-02-03 ada 09:00-17:30 atlas planning
2020-02-03 mei 08:00-12:00 borealis
2020-02-04 ada 09:00-12:15 atlas
%% if sample
2020-02-05 mei 13:00-18:00 atlas handed over to ada
2020-02-11 mei 10:00-11:30 borealis
%% end
