# wget: a page. It reads the proxy variables in lower case only, and trusts what its own option names.
wget --no-verbose --tries 2 --timeout 30 --ca-certificate "$SSL_CERT_FILE" --output-document - "https://$1/"
