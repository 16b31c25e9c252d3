%% if make
test:
	python3 -m unittest discover -s tests
%% if ci

check: test
	sh ci/check.sh
%% end

.PHONY: test
%% end
