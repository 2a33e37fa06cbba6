use super::*;

fn connection(keywords: &[(&str, &str)]) -> Connection {
    Connection(keywords.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn network(name: &str, port: u16) -> DatabaseServer {
    DatabaseServer { address: DatabaseAddress::Network(name.to_owned(), None), port }
}

fn socket(directory: &str, port: u16) -> DatabaseServer {
    DatabaseServer { address: DatabaseAddress::Socket(directory.into()), port }
}

#[test]
fn servers_are_tried_in_the_order_of_the_list_each_with_its_port() {
    let list = connection(&[("host", "db1,/run/pg,db2"), ("port", "1,2,")]);
    assert_eq!(
        list.servers().unwrap(),
        [network("db1", 1), socket("/run/pg", 2), network("db2", DEFAULT_PORT)]
    );
    let one_port = connection(&[("host", "db1,db2"), ("port", "7")]);
    assert_eq!(one_port.servers().unwrap(), [network("db1", 7), network("db2", 7)]);
    let mismatch = connection(&[("host", "db1,db2,db3"), ("port", "7,8")]);
    assert_eq!(mismatch.servers().unwrap_err().keyword, "port");
}

#[test]
fn without_a_host_it_is_this_machine() {
    let servers = connection(&[("dbname", "arvados")]).servers().unwrap();
    assert_eq!(servers, [socket("/var/run/postgresql", 5432), network("localhost", 5432)]);
}

#[test]
fn an_address_saves_the_look_up_and_the_host_stays_its_name() {
    let servers =
        |keywords| connection(keywords).servers().map(|it| it.into_iter().map(|it| it.address).collect());
    let ip = |text: &str| Some(text.parse().unwrap());
    let named: Result<Vec<_>, _> = servers(&[("host", "db"), ("hostaddr", "10.0.0.1")]);
    assert_eq!(named.unwrap(), [DatabaseAddress::Network("db".to_owned(), ip("10.0.0.1"))]);
    let bare = servers(&[("hostaddr", "::1")]);
    assert_eq!(bare.unwrap(), [DatabaseAddress::Network("::1".to_owned(), ip("::1"))]);
    assert_eq!(servers(&[("hostaddr", "db")]).unwrap_err().keyword, "hostaddr");
}

#[test]
fn tls_is_as_strict_as_libpq_would_be() {
    let tls = |keywords: &[(&str, &str)]| connection(keywords).tls().unwrap();
    let file = || Authorities::File("/ca.pem".into());
    let cases: [(&[(&str, &str)], _); 7] = [
        (&[], (false, Authorities::Anybody, false)),
        (&[("sslmode", "require")], (true, Authorities::Anybody, false)),
        (&[("sslmode", "require"), ("sslrootcert", "/ca.pem")], (true, file(), false)),
        (&[("sslmode", "verify-ca"), ("sslrootcert", "/ca.pem")], (true, file(), false)),
        (&[("sslmode", "verify-full"), ("sslrootcert", "/ca.pem")], (true, file(), true)),
        (&[("sslmode", "verify-full")], (true, Authorities::System, true)),
        (&[("sslmode", "require"), ("sslrootcert", "system")], (true, Authorities::System, true)),
    ];
    for (keywords, (required, authorities, checks_name)) in cases {
        let expected = DatabaseTls { required, authorities, checks_name, identity: None };
        assert_eq!(tls(keywords), Some(expected), "{keywords:?}");
    }
    assert_eq!(tls(&[("sslmode", "disable")]), None);
    assert_eq!(connection(&[("sslmode", "on")]).tls().unwrap_err().keyword, "sslmode");
    assert_eq!(connection(&[("sslcert", "/c")]).tls().unwrap_err().keyword, "sslkey");
}

#[test]
fn a_connection_is_never_waited_for_for_ever() {
    let within = |text| connection(&[("connect_timeout", text)]).connect_within().unwrap();
    assert_eq!(within("3"), Duration::from_secs(3));
    assert_eq!(within("0"), CONNECT_WITHIN);
    assert_eq!(within("-1"), CONNECT_WITHIN);
    assert_eq!(
        connection(&[("connect_timeout", "soon")]).connect_within().unwrap_err().keyword,
        "connect_timeout"
    );
}

#[test]
fn a_password_is_not_shown_when_debugged() {
    let shown = format!("{:?}", connection(&[("password", "hunter2")]));
    assert_eq!(shown, r#"{"password"}"#);
}
