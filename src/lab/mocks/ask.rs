//! Asks a mock without a connection: for the tests of the mocks.

use super::{
    Serves,
    answers::{Answer, Said},
    respond,
    route::{Asked, Sent, Service},
};
use crate::lab::site::{Site, SiteSpec};
use hyper::{HeaderMap, Method, Uri, header::HeaderName};
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// Every kind, as a scenario calls it.
pub fn kinds() -> Vec<String> {
    let unknown = serde_json::from_value::<Serves>("?".into()).unwrap_err().to_string();
    let kinds: Vec<String> = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert!(
        kinds.len() > 20 && kinds.iter().any(|kind| kind == "key-vault"),
        "{unknown}"
    );
    kinds
}

/// A site of one kind, and the headers that each request carries.
pub struct Ask {
    site: Arc<Site>,
    headers: HeaderMap,
}

impl Ask {
    /// A site of the kind that a scenario calls so.
    pub fn to(serves: &str) -> Self {
        let serves: Serves = serde_json::from_value(serves.into()).expect("a kind of the lab");
        let spec = SiteSpec {
            name: "site".to_owned(),
            hosts: Vec::new(),
            addresses: Vec::new(),
            ports: Vec::new(),
            serves,
            forbidden: false,
        };
        Self {
            site: Site::new(spec),
            headers: HeaderMap::new(),
        }
    }

    /// With this header from now on.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// The header that requests carry from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.headers
            .insert(HeaderName::try_from(name).unwrap(), value.try_into().unwrap());
    }

    /// What it is a site of.
    pub fn service(&self) -> &'static Service {
        self.site.spec().serves.service()
    }

    pub fn get(&mut self, path: &str) -> Heard {
        self.send("GET", path, "")
    }

    pub fn post(&mut self, path: &str, body: &str) -> Heard {
        self.send("POST", path, body)
    }

    pub fn put(&mut self, path: &str, body: &str) -> Heard {
        self.send("PUT", path, body)
    }

    pub fn send(&mut self, method: &str, path: &str, body: &str) -> Heard {
        let service = self.service();
        let (method, uri): (Method, Uri) = (method.parse().unwrap(), path.parse().unwrap());
        let found = service.find(&method, uri.path());
        let sent = match found {
            Some((route, _)) if route.spools => {
                let spool = &self.site.kept().spool;
                let extent = spool.reserve(body.len() as u64).unwrap();
                spool.write(body.as_bytes(), extent.start).unwrap();
                Sent::Spooled(extent)
            }
            _ => Sent::Whole(body.to_owned().into()),
        };
        let asked = Asked {
            method,
            uri,
            headers: self.headers.clone(),
            body: sent,
            upgrade: Mutex::default(),
        };
        Heard(respond(service, found, &asked, &self.site))
    }
}

/// An answer, easy to look at.
pub struct Heard(pub Answer);

impl Heard {
    pub fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.0.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub fn bytes(self) -> Vec<u8> {
        match self.0.into_body() {
            Said::Whole(bytes) => bytes.unwrap_or_default().to_vec(),
            Said::Spooled(spool, parts) => parts.iter().flat_map(|p| spool.read(*p).unwrap()).collect(),
            Said::Pieces(_) | Said::Trailed(..) => panic!("it is not all of it"),
        }
    }

    /// All pieces of a stream.
    pub async fn stream(self) -> Vec<String> {
        let Said::Pieces(mut pieces) = self.0.into_body() else {
            panic!("it comes at once");
        };
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.push(String::from_utf8(piece.to_vec()).unwrap());
        }
        all
    }

    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    pub fn json(self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }
}
