//! Load for any forward proxy, and what it is compared with.
//!
//! A [`world`] has the far side on loopback: upstreams and DNS. A [`subject`] is what stands between: a proxy that this
//! program starts or that runs already, the [`floor`], or nothing. A [`work`] sends operations through it and gives a
//! [`Sample`](work::Sample): rates, latencies, and what the kernel says that the subject's [`process`]es used. [`client`] speaks to the subject.
//!
//! Every loop ends after a count of operations or a time, whichever comes first; whatever comes back is compared with what
//! was sent, and an operation that went wrong fails the run.

pub mod client;
pub mod floor;
pub mod process;
pub mod report;
mod signals;
pub mod subject;
pub mod work;
pub mod world;

/// A future on a runtime of this thread alone.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a process may have an epoll descriptor")
        .block_on(future)
}

/// Threads of clients, of an upstream and of the floor: one a core, as egret's workers.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Reads `--scale`: part of the usual operations, above 0.
pub fn scale(text: &str) -> Result<f64, String> {
    let scale = text
        .parse()
        .ok()
        .filter(|&scale: &f64| scale > 0.0 && scale.is_finite());
    scale.ok_or_else(|| "not a number above 0".into())
}

/// Raises the limit on open files as far as this process may, for itself and what it starts. Gives the limit.
pub fn raise_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Enough for 60,000 tunnels; beyond the hard limit only who has CAP_SYS_RESOURCE may go.
    const WANTED: u64 = 200_000;
    let hard = getrlimit(Resource::Nofile).maximum;
    for most in [hard.map(|most| most.max(WANTED)), hard] {
        let limit = Rlimit {
            current: most,
            maximum: most,
        };
        if setrlimit(Resource::Nofile, limit).is_ok() {
            break;
        }
    }
    // Where both are refused, a run that needs more descriptors says so.
    getrlimit(Resource::Nofile).current.unwrap_or(WANTED)
}
