{
%% if x3
  "minimum": "3.00",
%% end
  "kinds": {
%% if x1
    "disk": {
      "tiers": [
        {"up_to": 100, "price": "0.12"},
        {"up_to": 500, "price": "0.10"},
        {"price": "0.07"}
      ]
    },
%% else
    "disk": {"price": "0.12"},
%% end
%% if x2
    "scan": {"price": "0.045", "free": 10},
%% else
    "scan": {"price": "0.045"},
%% end
    "seat": {"price": "4.00"}
  }
}
