%% if doc2
# Writing a tariff

Begin with samples/tariff.json. Prices are strings, so that no digit is lost. A kind that has no price can't be billed:
give it the price "0" if it is meant to be free.
%% if x1

Tiers are read from the top. Write them with rising `up_to`, and the last one without.
%% end
%% end
