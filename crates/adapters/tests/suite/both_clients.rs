//! The suite that both ssh clients pass: each of its tests is a function of the client.

/// Makes two tests of each function, one for each client.
macro_rules! for_both_clients {
    ($($test:ident),+ $(,)?) => {
        mod via_openssh {
            $(#[actix_rt::test] async fn $test() { super::$test(dispatch_adapters::ssh::SshClient::OpenSsh).await; })+
        }
        mod via_russh {
            $(#[actix_rt::test] async fn $test() { super::$test(dispatch_adapters::ssh::SshClient::Russh).await; })+
        }
    };
}
