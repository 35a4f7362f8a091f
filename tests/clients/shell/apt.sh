# apt: a package of a repository, in folders of our own. It reads https_proxy, and trusts what its own option names.
mkdir -p lists/partial cache/archives/partial etc
echo "deb [trusted=yes] https://$1/ stable main" >etc/sources.list
touch etc/status
cat >apt.conf <<EOF
Dir::Etc "$PWD/etc";
Dir::State "$PWD";
Dir::State::status "$PWD/etc/status";
Dir::Cache "$PWD/cache";
APT::Sandbox::User "$(id -un)";
Acquire::https::CAInfo "$SSL_CERT_FILE";
EOF
export APT_CONFIG="$PWD/apt.conf"
apt-get -o APT::Update::Error-Mode=any update && apt-get download egret-lab &&
    dpkg-deb --fsys-tarfile egret-lab_*.deb | tar --extract --to-stdout ./usr/share/egret-lab/hello.txt
