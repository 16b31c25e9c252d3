%% if ignore
__pycache__/
*.pyc
/build/
%% end
