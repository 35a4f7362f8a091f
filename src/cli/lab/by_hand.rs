//! How to go on by hand in a lab that stays up: files for other programs, and what to type.

use crate::{
    cli::env,
    lab::{
        course::Course,
        mocks::Serves,
        scenario::{Attempt, Speaks, split_url},
    },
    policy::{self, Action, Fqdn, NoTrace, Protocol},
};
use anyhow::Context;
use serde_json::json;
use std::{
    fmt::Write,
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Files for other programs, removed with it, and the text that says how to use them.
pub struct ByHand {
    /// What to print.
    pub text: String,
    /// The same for programs: one JSON line with the proxy's URL and the paths of the files.
    pub json: String,
    folder: PathBuf,
}

impl ByHand {
    /// Writes the lab's certificate authority and a file of variables into a folder of our own.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written.
    pub fn prepare(course: &Course) -> anyhow::Result<Self> {
        let proxy = course.proxy().context("egret does not listen")?;
        let folder = std::env::temp_dir().join(format!("egret-lab-{}", std::process::id()));
        // Created by us alone, and readable by us alone: a name in a shared folder can be foreseen.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let mut by_hand = Self {
            text: String::new(),
            json: String::new(),
            folder,
        };
        let (ca, variables) = (by_hand.folder.join("ca.pem"), by_hand.folder.join("env"));
        let url = format!("http://{proxy}");
        write(&ca, course.world.authority.pem())?;
        write(&variables, &env::text(proxy, Some(&ca), env::Shell::Sh))?;
        let paths = json!({ "by_hand": { "proxy": url, "ca": ca, "variables": variables } });
        by_hand.json = format!("{paths}\n");
        by_hand.text = text(course, &url, &ca, &variables);
        Ok(by_hand)
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        // Left behind at worst: two files without a secret.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn text(course: &Course, url: &str, ca: &Path, variables: &Path) -> String {
    let attempts = &course.scenario().attempts;
    let allowed = model(course).or_else(|| {
        attempts
            .iter()
            .find(|a| in_tls(a) && a.expect.decision == Action::Allow)
    });
    let denied = attempts.iter().find(|a| in_tls(a) && a.expect.refused());
    let mut text = format!("\negret stays up at {url}. By hand (curl's --interface says who asks):\n");
    for (attempt, what) in [(allowed, "answered by the site"), (denied, "refused")] {
        if let Some(attempt) = attempt {
            let _ = writeln!(text, "\n  # {}: {}, {what}", attempt.client, attempt.name);
            let _ = writeln!(text, "  {}", curl(attempt, url, ca));
        }
    }
    if let Some((attempt, reason)) = denied.and_then(|attempt| Some((attempt, attempt.expect.reason?))) {
        let host = attempt.connect.as_deref().unwrap_or_default();
        let _ = writeln!(
            text,
            "  # expect: HTTP/1.1 403 egret: {host} denied, {reason} (flow ..)"
        );
    }
    let _ = writeln!(
        text,
        "\n  # other programs come from 127.0.0.1{}",
        local_rights(course, allowed)
    );
    let _ = writeln!(text, "  . {}", variables.display());
    if let Some(host) = model(course).and_then(|a| a.connect.as_deref()?.strip_suffix(":443")) {
        let _ = write!(text, "{}", sdks(host));
    }
    let admin = course
        .gateway
        .as_ref()
        .and_then(|gateway| gateway.admin_addrs().first());
    if let Some(admin) = admin {
        let _ = writeln!(
            text,
            "\n  # counters, policy and open flows\n  curl http://{admin}/metrics"
        );
    }
    let _ = writeln!(text, "\nEach decision is shown below. Ctrl-C ends the lab.\n");
    text
}

/// The attempt that an OpenAI mock answers with a completion.
fn model(course: &Course) -> Option<&Attempt> {
    let openai = |name: &str| {
        course
            .world
            .site(name)
            .is_some_and(|s| matches!(s.spec().serves, Serves::Openai | Serves::Foundry))
    };
    course.scenario().attempts.iter().find(|attempt| {
        let answered = attempt
            .requests
            .first()
            .filter(|r| r.target.contains("/chat/completions"));
        in_tls(attempt) && answered.and_then(|r| r.reaches.as_deref()).is_some_and(openai)
    })
}

/// curl can say what this attempt says.
fn in_tls(attempt: &Attempt) -> bool {
    let host = attempt.connect.as_deref().and_then(|c| c.strip_suffix(":443"));
    let plain = matches!(&attempt.speaks, Speaks::Tls { sni, split: None, .. } if sni.as_deref() == host);
    plain && host.is_some() && !attempt.expect.audit && !attempt.unset_proxy
}

fn curl(attempt: &Attempt, url: &str, ca: &Path) -> String {
    let mut line = format!(
        "curl -i --interface {} -x {url} --cacert {}",
        attempt.source,
        ca.display()
    );
    let Some(request) = attempt.requests.first() else {
        return line;
    };
    // What curl does by itself.
    let method = if request.body.is_empty() { "GET" } else { "POST" };
    if request.method != method {
        let _ = write!(line, " -X {}", request.method);
    }
    for (name, value) in &request.headers {
        let _ = write!(line, " -H {}", quoted(&format!("{name}: {value}")));
    }
    if !request.body.is_empty() {
        let _ = write!(line, " -d {}", quoted(&request.body));
    }
    let host = attempt.connect.as_deref().and_then(|c| c.strip_suffix(":443"));
    let (_, path) = split_url(&request.target);
    let _ = write!(
        line,
        " {}",
        quoted(&format!("https://{}{path}", host.unwrap_or_default()))
    );
    line
}

/// One word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A call of the SDKs, which need only the variables.
fn sdks(host: &str) -> String {
    format!(
        "  python3 -c \"from openai import AzureOpenAI as A; print(A(azure_endpoint='https://{host}', api_key='lab', \
         api_version='2024-10-21').chat.completions.create(model='gpt-4o', messages=[{{'role': 'user', 'content': \
         'hello'}}]).choices[0].message.content)\"\n\
         \x20 node -e \"const {{ AzureOpenAI: A }} = require('openai'); new A({{ endpoint: 'https://{host}', apiKey: \
         'lab', apiVersion: '2024-10-21' }}).chat.completions.create({{ model: 'gpt-4o', messages: [{{ role: 'user', \
         content: 'hello' }}] }}).then(c => console.log(c.choices[0].message.content))\"   # Node 24 or later\n"
    )
}

/// Whether programs that choose no source address may do what the model attempt does.
fn local_rights(course: &Course, allowed: Option<&Attempt>) -> &'static str {
    let asked = allowed.and_then(|attempt| {
        let (host, port) = attempt.connect.as_deref()?.rsplit_once(':')?;
        Some((Fqdn::parse(host).ok()?, port.parse().ok()?))
    });
    let (Some((name, port)), Some(gateway)) = (asked, &course.gateway) else {
        return "";
    };
    let attempt = policy::Attempt {
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocol: Protocol::Https,
        name: &name,
        port,
    };
    match gateway.snapshot().policy.decide(&attempt, &mut NoTrace).permits() {
        true => ", which may do the same",
        false => ", which is in no group of this scenario: add it to one in its config",
    }
}
