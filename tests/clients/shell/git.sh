# git: a repository.
git clone --quiet "https://$1/egret/lab.git" clone && cat clone/README.md
