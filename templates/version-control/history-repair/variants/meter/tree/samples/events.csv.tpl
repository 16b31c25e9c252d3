id,day,account,kind,quantity
e1,2020-02-03,a-1,disk,40
e2,2020-02-03,a-1,scan,12
e3,2020-02-04,a-1,seat,2
e4,2020-02-04,a-2,disk,310
e5,2020-02-05,a-2,seat,1
%% if sample
e6,2020-02-05,a-10,disk,720
e7,2020-02-06,a-10,scan,95
%% end
