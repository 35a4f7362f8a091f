//! The floor for each kind of work.

use super::{Recipe, free_port};
use crate::{work::Work, world::World};
use std::{io, path::Path};

/// The program of `folder` that does nothing more than this work asks for.
pub fn recipe(work: Work, world: &World, folder: &Path) -> io::Result<Recipe> {
    let port = free_port()?;
    let (program, upstream) = match work {
        Work::Deny => ("bare-denier", None),
        Work::Http => ("bare-http", Some(world.http)),
        Work::Tls => ("bare-relay", Some(world.tls)),
        _ => ("bare-relay", Some(world.tunnels)),
    };
    let listen = Some(format!("127.0.0.1:{port}"));
    Ok(Recipe {
        program: folder.join(program),
        args: listen
            .into_iter()
            .chain(upstream.map(|upstream| upstream.to_string()))
            .collect(),
        proxy: port,
        ..Recipe::default()
    })
}
