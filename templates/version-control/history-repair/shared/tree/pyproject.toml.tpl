%% if pyproject
[project]
name = "<<pkg>>"
dynamic = ["version"]
requires-python = ">=3.7"
%% if fmt

[tool.formatter]
line-length = 120
quotes = "double"
%% end
%% end
