//! A file server for one folder, with the headers that make a page cross-origin isolated.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;

use rouille::{Request, Response, Server, match_assets};

use super::{Result, fail};

/// A server, which runs until this process ends.
pub(crate) struct Serving {
    pub(crate) url: String,
}

/// Serves `folder` on this machine only; port 0 takes any.
pub(crate) fn serve(folder: &Path, port: u16) -> Result<Serving> {
    let folder = PathBuf::from(folder);
    let server = Server::new((Ipv4Addr::LOCALHOST, port), move |request| answer(&folder, request));
    let server = server.map_err(|error| fail(format!("cannot serve on port {port}: {error}; give another --port")))?;
    let url = format!("http://localhost:{}/", server.server_addr().port());
    thread::spawn(|| server.run());
    Ok(Serving { url })
}

fn answer(folder: &Path, request: &Request) -> Response {
    let mut response = match (request.method(), request.url()) {
        ("GET" | "HEAD", url) if url.ends_with('/') => {
            let index = Request::fake_http(request.method(), url + "index.html", Vec::new(), Vec::new());
            match_assets(&index, folder)
        }
        ("GET" | "HEAD", _) => match_assets(request, folder),
        _ => {
            let mut refusal = Response::text("only GET and HEAD");
            refusal.status_code = 405;
            refusal
        }
    };
    // The two `Cross-Origin` headers with `Opener` and `Embedder` give a page shared memory; workers need the second on their own script too.
    let headers = [
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Embedder-Policy", "require-corp"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ];
    response.headers.extend(headers.map(|(name, value)| (name.into(), value.into())));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, url: &str) -> Response {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        answer(&folder, &Request::fake_http(method, url, Vec::new(), Vec::new()))
    }

    #[test]
    fn every_answer_isolates_the_page() {
        for (method, url, status) in [
            ("GET", "/main.rs?x=1", 200),
            ("HEAD", "/kit/mod.rs", 200),
            ("GET", "/", 404),
            ("GET", "/../Cargo.toml", 404),
            ("PUT", "/main.rs", 405),
        ] {
            let response = ask(method, url);
            assert_eq!(response.status_code, status, "{method} {url}");
            let has =
                |name: &str, value: &str| response.headers.iter().any(|header| header == &(name.into(), value.into()));
            assert!(
                has("Cross-Origin-Opener-Policy", "same-origin") && has("Cross-Origin-Embedder-Policy", "require-corp")
            );
        }
    }
}
