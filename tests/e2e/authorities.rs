//! `/etc/arvados/ca-certificates.crt`, where it really lies: the dispatcher and its instances run in a mount namespace
//! whose `/etc` is a copy with that file in it. So nothing of the program knows of the test, and this machine's `/etc`
//! stays as it is. It needs root.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use actix_web::http::Method;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use dispatch_core::container::ContainerState;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::support::network::is_root;
use crate::support::{SOON, Service, Site};

/// A controller with https in front of it: its URL, and the certificate that it shows, in PEM.
struct Secured {
    url: String,
    certificate: String,
    server: actix_web::dev::ServerHandle,
}

/// What a request needs to be understood behind the proxy.
const HEADERS: [&str; 4] = ["authorization", "content-type", "x-http-method-override", "x-request-id"];

async fn pass_on(request: HttpRequest, body: web::Bytes, behind: web::Data<String>) -> HttpResponse {
    let url = format!("{}{}", behind.trim_end_matches('/'), request.uri());
    let method = Method::from_bytes(request.method().as_str().as_bytes()).unwrap();
    let mut passed = awc::Client::builder().timeout(SOON).finish().request(method, url);
    for name in HEADERS {
        if let Some(value) = request.headers().get(name) {
            passed = passed.insert_header((name, value.as_bytes().to_vec()));
        }
    }
    let Ok(mut answer) = passed.send_body(body).await else { return HttpResponse::BadGateway().finish() };
    let Ok(body) = answer.body().limit(32 << 20).await else { return HttpResponse::BadGateway().finish() };
    HttpResponse::build(answer.status()).content_type("application/json").body(body)
}

fn secure(controller: &str) -> Secured {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .unwrap();
    let behind = web::Data::new(controller.to_owned());
    let app = move || {
        let limit = web::PayloadConfig::new(32 << 20);
        App::new().app_data(behind.clone()).app_data(limit).default_service(web::to(pass_on))
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind_rustls_0_23("127.0.0.1:0", config).unwrap();
    let url = format!("https://localhost:{}/", server.addrs()[0].port());
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    Secured { url, certificate: made.cert.pem(), server: handle }
}

/// A copy of `/etc` with such a file of the site's authorities in it.
fn etc_with(directory: &Path, authorities: &str) {
    std::fs::create_dir(directory).unwrap();
    let copied = Command::new("cp").args(["-a", "/etc/."]).arg(directory).status().unwrap();
    assert!(copied.success(), "{copied}");
    std::fs::create_dir_all(directory.join("arvados")).unwrap();
    std::fs::write(directory.join("arvados/ca-certificates.crt"), authorities).unwrap();
}

/// Starts the dispatcher where `/etc` is that directory.
async fn start_with_etc(site: &Site, etc: &Path, environment: &[(&str, &str)]) -> Service {
    let etc = etc.display().to_string();
    let script = "mount --bind \"$0\" /etc && exec \"$@\"";
    let prefix = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, &etc];
    Service::start_by(&prefix, site, &["run"], environment).await
}

/// Waits until a poll has failed for the certificate.
async fn distrusts(service: &mut Service) {
    let told = service.logged("error updating queue", SOON).await;
    let error = told["error"].as_str().unwrap().to_lowercase();
    assert!(error.contains("certificate") || error.contains("unknownissuer"), "{told}");
}

#[actix_rt::test]
async fn a_controller_of_the_sites_own_authority_is_trusted_by_dispatcher_and_runner() {
    if !is_root("authorities") {
        return;
    }
    let mut site = Site::new();
    let secured = secure(site.controller.url());
    site.cluster()["Services"]["Controller"]["ExternalURL"] = secured.url.as_str().into();
    site.write_config();
    site.submit(1).await;

    let mut without = site.start().await;
    distrusts(&mut without).await;
    assert_eq!(without.stop().await, 0);

    let etc = site.path("etc");
    etc_with(&etc, &secured.certificate);
    let systems = [("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")];
    let mut others_only = start_with_etc(&site, &etc, &systems).await;
    distrusts(&mut others_only).await;
    assert_eq!(others_only.stop().await, 0);

    let mut service = start_with_etc(&site, &etc, &[]).await;
    site.reached(1, ContainerState::Running, SOON).await;
    site.runs.open_gate();
    site.reached(1, ContainerState::Complete, SOON).await;
    assert_eq!(service.lines("error updating queue").len(), 0);
    assert_eq!(service.stop().await, 0);
    secured.server.stop(false).await;
}
