"""PostgreSQL over TLS: what libpq's parameters promise is kept, seen from the database's side."""

import datetime
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conftest import lathe


def pem(thing):
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate(name, signer=None, names=()):
    """A key and a certificate for it, signed by `signer`, or by itself as an authority's is."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key, issuer = (key, own) if signer is None else (signer[0], signer[1].subject)
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return key, builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server that takes encrypted connections only, as `localhost`, and the folder of the certificates."""
    from postgres import Cluster

    folder = tmp_path_factory.mktemp("certificates")
    authority, stranger = certificate("authority"), certificate("stranger")
    server = certificate("server", authority, [x509.DNSName("localhost")])
    client = certificate("certified", authority)
    for name, thing in [
        ("authority.pem", authority[1]),
        ("stranger.pem", stranger[1]),
        ("client.pem", client[1]),
        ("client.key", client[0]),
    ]:
        (folder / name).write_bytes(pem(thing))
    (folder / "empty.pem").touch()
    cluster = Cluster()
    try:
        cluster.stop()
        for name, thing in [("server.crt", server[1]), ("server.key", server[0]), ("root.crt", authority[1])]:
            path = cluster.data / name
            path.write_bytes(pem(thing))
            path.chmod(0o600)
            if cluster.as_other:
                shutil.chown(path, "postgres", "postgres")
        with open(cluster.data / "postgresql.conf", "a") as settings:
            settings.write("ssl = on\nssl_ca_file = 'root.crt'\n")
        (cluster.data / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all certified 127.0.0.1/32 cert\nhostssl all lathe 127.0.0.1/32 scram-sha-256\n"
        )
        cluster.start()
        cluster.run("psql", "-h", cluster.folder, "-p", cluster.port, "-U", "lathe", "-d", "postgres", "-c",
                    "CREATE ROLE certified LOGIN SUPERUSER")
        yield cluster, folder
    finally:
        cluster.remove()


def connections(cluster):
    """How many of Lathe's connections there are, by user and whether they are encrypted."""
    out = cluster.folder / "seen"
    cluster.run("psql", "-h", cluster.folder, "-p", cluster.port, "-U", "lathe", "-d", "postgres", "-At", "-o", out, "-c",
                "SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
                " WHERE application_name = 'lathe'")
    return out.read_text().split()


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "sslmode=prefer",
        "sslmode=require",
        "sslmode=require&channel_binding=require",
        "sslmode=require&sslrootcert={authority}",
        "sslmode=verify-ca&sslrootcert={authority}",
    ],
)
def test_a_connection_is_encrypted_where_the_server_can(secure, serve, tmp_path, parameters):
    cluster, folder = secure
    url = f"{cluster.url}?schema={tmp_path.name[:40].replace('[', '').replace(']', '').lower()}"
    server = serve(tmp_path, "--database", f"{url}&{parameters}".format(authority=folder / "authority.pem"))
    assert connections(cluster) == ["lathe|t"]
    server.stop()


def test_the_name_is_verified_where_that_is_asked_for(secure, serve, tmp_path):
    cluster, folder = secure
    url = cluster.url.replace("127.0.0.1", "localhost")
    server = serve(tmp_path, "--database", f"{url}?sslmode=verify-full&sslrootcert={folder}/authority.pem")
    assert connections(cluster) == ["lathe|t"]
    server.stop()


def test_a_client_shows_its_own_certificate(secure, serve, tmp_path):
    cluster, folder = secure
    url = f"postgresql://certified@localhost:{cluster.port}/postgres?schema=certified"
    identity = f"sslcert={folder}/client.pem&sslkey={folder}/client.key"
    server = serve(tmp_path, "--database", f"{url}&sslmode=verify-full&sslrootcert={folder}/authority.pem&{identity}")
    assert connections(cluster) == ["certified|t"]
    server.stop()


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ("sslmode=disable", "no pg_hba.conf entry"),
        ("sslmode=require&sslrootcert={folder}/stranger.pem", "UnknownIssuer"),
        ("sslmode=verify-ca&sslrootcert={folder}/stranger.pem", "UnknownIssuer"),
        ("sslmode=verify-full&sslrootcert={folder}/authority.pem", "not valid for name"),
        ("sslmode=verify-full", "UnknownIssuer"),
        ("sslmode=verify-full&sslrootcert=system", "UnknownIssuer"),
        ("sslmode=verify-ca&sslrootcert={folder}/nowhere.pem", "`sslrootcert`"),
        ("sslmode=verify-ca&sslrootcert={folder}/empty.pem", "no certificate in PEM form"),
        ("sslmode=require&sslcert={folder}/client.pem&sslkey={folder}/client.pem", "`sslkey`"),
        ("sslmode=always", "sslmode"),
    ],
)
def test_what_does_not_hold_is_refused_with_the_reason(secure, tmp_path, parameters, why):
    cluster, folder = secure
    url = f"{cluster.url}?{parameters.format(folder=folder)}"
    # Without certificates of the machine's own there would be another reason.
    done = lathe("server", "--port", "0", "--database", url, cwd=tmp_path, code=1, SSL_CERT_FILE=str(folder / "stranger.pem"))
    assert why in done.stderr, done.stderr
    assert "let%20me" not in done.stderr and "let me in" not in done.stderr
    assert connections(cluster) == []


def test_encryption_that_the_server_does_not_have_is_missed(postgres, tmp_path):
    done = lathe("server", "--port", "0", "--database", f"{postgres()}&sslmode=require", cwd=tmp_path, code=1)
    assert "TLS" in done.stderr, done.stderr
