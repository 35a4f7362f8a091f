# pip: a package of an index.
pip install --quiet --disable-pip-version-check --no-cache-dir --no-deps --target site --index-url "https://$1/simple" egret-lab &&
    PYTHONPATH=site python -c 'import egret_lab; print(egret_lab.WORDS)'
