{
%% if x1
  "break_after": 360,
  "break": 30,
%% end
%% if x2
  "round_to": 6,
%% end
  "firm": "example"
}
