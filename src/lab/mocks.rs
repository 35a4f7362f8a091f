//! What the lab's sites answer. Every answer names its site in `X-Lab-Site`, so that a client can tell who answered.
//!
//! A service is a table of routes ([`route`]) in a module of its own; `serves` in a scenario names it. Here is what they
//! share: the request is read, its route found, the answer marked. No mock checks a signature or a quota.

pub mod ai_services;
pub mod answers;
pub mod api_management;
pub mod archive;
#[cfg(test)]
mod ask;
pub mod blob;
pub mod container_registry;
pub mod digest;
pub mod entra;
pub mod foundry;
pub mod git;
pub mod grpc;
pub mod hugging_face;
pub mod keep;
pub mod key_vault;
pub mod monitor;
pub mod openai;
pub mod packages;
pub mod page;
pub mod resource_manager;
pub mod route;
pub mod search;
pub mod spool;
pub mod websocket;

use super::site::{Site, Visit};
use answers::{Answer, text};
use http_body_util::BodyExt;
use hyper::{
    Request, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use keep::Kept;
use route::{Asked, Call, Route, Sent, Service};
use spool::Extent;
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

/// Longest request body that a mock holds in memory, in bytes; longer ones get 413.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// Most bytes of a longer body that are read before the answer.
const MAX_DRAINED: usize = 64 * 1024 * 1024;

/// What a site serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// Text that says what was asked, of whom, with which headers.
    #[default]
    Page,
    /// Azure OpenAI: chat, embeddings, responses, realtime.
    Openai,
    /// Azure AI Foundry: model inference, and what Azure OpenAI serves.
    Foundry,
    /// Azure AI Search: indexes and documents.
    Search,
    /// Blob storage.
    Blob,
    /// Key Vault: secrets.
    KeyVault,
    /// Entra ID: tokens and discovery.
    Entra,
    /// Content Safety.
    ContentSafety,
    /// Document Intelligence.
    DocumentIntelligence,
    /// The token service of Speech.
    Speech,
    /// Container Registry and its data endpoint.
    ContainerRegistry,
    /// An API Management gateway in front of Azure OpenAI.
    ApiManagement,
    /// Azure Resource Manager.
    ResourceManager,
    /// Azure Monitor's ingestion.
    Monitor,
    /// The Hugging Face hub.
    HuggingFace,
    /// A Python index and its files.
    PythonIndex,
    /// An npm registry.
    NpmRegistry,
    /// An apt repository.
    Apt,
    /// Git repositories.
    Git,
    /// gRPC over HTTP/2.
    Grpc,
    /// An instance metadata service: the token that an attacker is after.
    Metadata,
}

impl Serves {
    fn service(self) -> &'static Service {
        match self {
            Self::Page => &page::PAGE,
            Self::Openai => &openai::SERVICE,
            Self::Foundry => &foundry::SERVICE,
            Self::Search => &search::SERVICE,
            Self::Blob => &blob::SERVICE,
            Self::KeyVault => &key_vault::SERVICE,
            Self::Entra => &entra::SERVICE,
            Self::ContentSafety => &ai_services::CONTENT_SAFETY,
            Self::DocumentIntelligence => &ai_services::DOCUMENT_INTELLIGENCE,
            Self::Speech => &ai_services::SPEECH_TOKENS,
            Self::ContainerRegistry => &container_registry::SERVICE,
            Self::ApiManagement => &api_management::SERVICE,
            Self::ResourceManager => &resource_manager::SERVICE,
            Self::Monitor => &monitor::SERVICE,
            Self::HuggingFace => &hugging_face::SERVICE,
            Self::PythonIndex => &packages::PYTHON_INDEX,
            Self::NpmRegistry => &packages::NPM_REGISTRY,
            Self::Apt => &packages::APT_REPOSITORY,
            Self::Git => &git::SERVICE,
            Self::Grpc => &grpc::SERVICE,
            Self::Metadata => &page::METADATA,
        }
    }
}

/// Answers one request on behalf of the site that its host chooses.
pub(super) async fn answer(visit: Arc<Visit>, mut request: Request<Incoming>) -> Result<Answer, Infallible> {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    // A request in absolute form reached a server: RFC 9112 3.2.2 gives its authority the last word.
    let authority = request.uri().authority().map(|a| a.as_str()).or(host);
    let site = visit.name(authority.map(|a| a.rsplit_once(':').map_or(a, |(name, _)| name)));
    site.count_request();
    let service = site.spec().serves.service();
    let found = service.find(request.method(), request.uri().path());
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = match found {
        Some((Route { spools: true, .. }, _)) => spooled(body, &parts.headers, site.kept()).await,
        _ => whole(body).await,
    };
    let answer = match body {
        Ok(body) => {
            let asked = Asked {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body,
                upgrade: Mutex::new(Some(upgrade)),
            };
            respond(service, found, &asked, &site)
        }
        Err(answer) => answer,
    };
    Ok(named(answer, &site))
}

/// What a service says: to who may ask, what the route says.
fn respond(service: &Service, found: Option<(&'static Route, Vec<String>)>, asked: &Asked, site: &Site) -> Answer {
    let (route, taken) = found.unzip();
    let call = Call {
        asked,
        taken: taken.as_deref().unwrap_or_default(),
        site: site.name(),
        kept: site.kept(),
    };
    let refusal = (service.guard)(&call);
    refusal.unwrap_or_else(|| route.map_or(service.missing, |route| route.answer)(&call))
}

fn named(mut answer: Answer, site: &Site) -> Answer {
    if let Ok(name) = HeaderValue::from_str(site.name()) {
        answer.headers_mut().insert("x-lab-site", name);
    }
    answer
}

/// Collects a body. One that is too long is still read, up to a point: a client that is cut off while it sends does not hear
/// why.
async fn whole(mut body: Incoming) -> Result<Sent, Answer> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| text(StatusCode::BAD_REQUEST, format!("{e}\n")))?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        length += data.len();
        if length <= MAX_BODY {
            bytes.extend_from_slice(data);
        } else if length > MAX_DRAINED {
            break;
        }
    }
    (length <= MAX_BODY)
        .then(|| Sent::Whole(bytes.into()))
        .ok_or_else(too_long)
}

/// Moves a body to the spool as it comes; storage services want its length first, and so do we.
async fn spooled(mut body: Incoming, headers: &HeaderMap, kept: &Kept) -> Result<Sent, Answer> {
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|l| l.to_str().ok()?.parse().ok());
    let length = length.ok_or_else(|| text(StatusCode::LENGTH_REQUIRED, "Content-Length is missing\n"))?;
    let extent: Extent = kept.spool.reserve(length).ok_or_else(too_long)?;
    let mut at = extent.start;
    while let Some(frame) = body.frame().await {
        let broken = |e: &dyn std::fmt::Display| text(StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n"));
        let frame = frame.map_err(|e| broken(&e))?;
        if let Some(data) = frame.data_ref() {
            // hyper holds a body to its Content-Length, so that it stays inside its extent.
            kept.spool.write(data, at).map_err(|e| broken(&e))?;
            at += data.len() as u64;
        }
    }
    Ok(Sent::Spooled(extent))
}

fn too_long() -> Answer {
    text(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long for a mock\n")
}

/// Everybody may ask.
fn open(_: &Call<'_>) -> Option<Answer> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lab::{
            client::{Client, Reply, Road, Wire},
            internet::ANY_SOURCE,
            site::SiteSpec,
            world::{Ground, World},
        },
        tls::provider,
    };
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use rustls::pki_types::ServerName;
    use std::collections::BTreeMap;
    use tokio_rustls::TlsConnector;

    const FRONT: &str = "203.0.113.20";

    /// A world of one site of each of these kinds, named after it.
    fn world(kinds: &[Serves]) -> World {
        let spec = |serves: &Serves| SiteSpec {
            name: format!("{serves:?}"),
            hosts: vec![format!("{serves:?}.test").to_lowercase()],
            addresses: vec![FRONT.parse().unwrap()],
            ports: Vec::new(),
            serves: *serves,
            forbidden: false,
        };
        World::start(kinds.iter().map(spec).collect(), &BTreeMap::new(), &Ground::Mapped).unwrap()
    }

    async fn wire(world: &World) -> Wire {
        let road = Road::Direct(world.internet());
        let client = Client::new("127.0.1.9".parse().unwrap(), road, world.authority.clone());
        client.dial(FRONT, 80).await.unwrap()
    }

    async fn ask(world: &World, head: &str, body: &[u8]) -> Reply {
        let mut wire = wire(world).await;
        wire.send(&[head.as_bytes(), b"\r\n\r\n", body].concat()).await.unwrap();
        wire.reply("PUT").await.unwrap()
    }

    #[test]
    fn the_documentation_lists_every_kind() {
        let table = include_str!("../../docs/lab.md");
        for kind in ask::kinds() {
            assert!(table.contains(&format!("\n| `{kind}` |")), "docs/lab.md lacks {kind}");
        }
    }

    #[tokio::test]
    async fn a_long_body_is_taken_where_uploads_are_and_refused_elsewhere() {
        let world = world(&[Serves::Blob, Serves::KeyVault]);
        let body = vec![b'x'; 2 * MAX_BODY];
        let length = body.len();
        let made = ask(
            &world,
            "PUT /c?restype=container&sig=a HTTP/1.1\r\nHost: blob.test\r\nContent-Length: 0",
            b"",
        )
        .await;
        assert_eq!((made.status, made.site()), (201, Some("Blob")));
        for (request, status, why) in [
            (
                format!("PUT /c/b?sig=a HTTP/1.1\r\nHost: blob.test\r\nContent-Length: {length}"),
                201,
                "a blob",
            ),
            (
                format!("PUT /secrets/s HTTP/1.1\r\nHost: keyvault.test\r\nContent-Length: {length}"),
                413,
                "no secret is so long",
            ),
        ] {
            assert_eq!(ask(&world, &request, &body).await.status, status, "{why}");
        }
        let pieces = ask(
            &world,
            "PUT /c/b?sig=a HTTP/1.1\r\nHost: blob.test\r\nTransfer-Encoding: chunked",
            b"0\r\n\r\n",
        )
        .await;
        assert_eq!(pieces.status, 411, "an upload says its length");
        let kept = world.site("Blob").unwrap().kept();
        let read = ask(&world, "GET /c/b?sig=a HTTP/1.1\r\nHost: blob.test", b"").await;
        assert!(read.body == body && kept.spool.reserve(0).is_some());
    }

    #[tokio::test]
    async fn a_websocket_opens_and_the_session_begins() {
        let world = world(&[Serves::Openai]);
        let mut wire = wire(&world).await;
        let request = "GET /openai/v1/realtime?model=m HTTP/1.1\r\nHost: openai.test\r\napi-key: lab\r\nConnection: Upgrade\r\n\
                       Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        wire.send(request.as_bytes()).await.unwrap();
        while !wire.received().windows(15).any(|seen| seen == b"session.created") {
            assert!(wire.fill().await.unwrap() > 0, "{}", wire.received().escape_ascii());
        }
        let received = String::from_utf8_lossy(wire.received()).to_lowercase();
        assert!(received.starts_with("http/1.1 101 "), "{received}");
        assert!(received.contains("x-lab-site: openai\r\n"), "{received}");
    }

    #[tokio::test]
    async fn http2_is_for_grpc_alone() {
        let world = world(&[Serves::Grpc, Serves::Openai]);
        let mut config = world.authority.client_config(provider());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let connect = async |host: &'static str| {
            let stream = world.internet().dial(ANY_SOURCE, FRONT, 443).await.unwrap();
            connector
                .connect(ServerName::try_from(host).unwrap(), stream)
                .await
                .unwrap()
        };
        assert_eq!(
            connect("openai.test").await.get_ref().1.alpn_protocol(),
            Some(&b"http/1.1"[..])
        );
        let stream = connect("grpc.test").await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        let message = "\0\0\0\0\u{2}hi".to_owned();
        let request = Request::post("https://grpc.test/lab.Echo/Say")
            .header("content-type", "application/grpc")
            .body(message.clone());
        let answer = sender
            .send_request(request.unwrap())
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
        assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(answer.to_bytes(), message);
    }
}
