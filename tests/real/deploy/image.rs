//! The image: what is in it, that it comes out the same each time, and that it serves.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{checked, output};
use crate::{
    client::{Client, ask_operator},
    installation::TEAM,
    processes::{Process, eventually, free_ports, given, turn},
};

/// What an image may have in it, in bytes.
const LARGEST: u64 = 25_000_000;

/// The user of the image.
const USER: u32 = 65532;

/// Everything in the image: rights, owner, path.
const CONTENT: &str = "\
drwxr-xr-x 0/0 etc/
drwxr-xr-x 0/0 etc/n8n-gateway/
drwxr-xr-x 0/0 etc/ssl/
drwxr-xr-x 0/0 etc/ssl/certs/
-rw-r--r-- 0/0 etc/ssl/certs/ca-certificates.crt
drwxr-xr-x 0/0 run/
drwxr-x--- 65532/65532 run/n8n-gateway/
drwxr-xr-x 0/0 usr/
drwxr-xr-x 0/0 usr/bin/
-rwxr-xr-x 0/0 usr/bin/n8n-gateway
drwxr-xr-x 0/0 var/
drwxr-xr-x 0/0 var/lib/
drwx------ 65532/65532 var/lib/n8n-gateway/
";

fn archive() -> PathBuf {
    given("N8N_GATEWAY_TEST_SHIP").join("n8n-gateway.tar")
}

fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    output(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder));
}

/// The image without its wrapping: what describes it, and its one layer.
fn opened(folder: &Path) -> (Value, PathBuf) {
    unpack(&archive(), folder);
    let read = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
    };
    let manifest = read("manifest.json");
    assert_eq!(manifest[0]["Layers"].as_array().unwrap().len(), 1);
    assert!(manifest[0]["RepoTags"][0].as_str().unwrap().starts_with("localhost/n8n-gateway:"));
    let layer = folder.join(manifest[0]["Layers"][0].as_str().unwrap());
    (read(manifest[0]["Config"].as_str().unwrap()), layer)
}

#[test]
fn the_image_has_the_program_and_the_roots_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (described, layer) = opened(folder.path());
    let listed = output(Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&layer));
    let mut found = String::new();
    for line in listed.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        found.push_str(&format!("{} {} {}\n", words[0], words[1], words[5]));
    }
    assert_eq!(found, CONTENT);
    let size = fs::metadata(&layer).unwrap().len();
    assert!(size < LARGEST, "{size}");
    println!("-- the image has {size} bytes");

    let config = &described["config"];
    let expected = [
        ("User", json!("65532:65532")),
        ("Entrypoint", json!(["/usr/bin/n8n-gateway"])),
        ("Cmd", json!(["run"])),
        ("Volumes", json!({ "/var/lib/n8n-gateway": {} })),
        ("ExposedPorts", json!({ "443/tcp": {}, "80/tcp": {} })),
        ("StopSignal", json!("SIGTERM")),
    ];
    for (name, value) in expected {
        assert_eq!(config[name], value, "{name}");
    }
    assert_eq!(
        config["Healthcheck"]["Test"],
        json!(["CMD", "/usr/bin/n8n-gateway", "status", "--healthy"])
    );
    let labels: BTreeMap<String, String> =
        serde_json::from_value(config["Labels"].clone()).unwrap();
    for name in ["title", "description", "licenses", "version", "revision"] {
        let label = labels.get(&format!("org.opencontainers.image.{name}"));
        assert!(label.is_some_and(|it| !it.is_empty()), "{name}: {labels:?}");
    }
    // The program needs nothing beside it: no part of it names who would load others.
    let root = folder.path().join("root");
    unpack(&layer, &root);
    let program = root.join("usr/bin/n8n-gateway");
    let parts = output(Command::new("readelf").args(["--program-headers", "--wide"]).arg(&program));
    assert!(parts.contains("LOAD") && !parts.contains("INTERP"), "{parts}");
    // Nor does it say where it was built, or when: the time that C's compiler was told is none.
    let bytes = fs::read(&program).unwrap();
    let says = |what: &str| bytes.windows(what.len()).any(|it| it == what.as_bytes());
    assert!(says("Jan  1 1970") && says("00:00:00"));
    let home = std::env::var_os("HOME").unwrap().into_string().unwrap();
    let here = [format!("{home}/.cargo"), env!("CARGO_MANIFEST_DIR").replace("/tests", "/crates")];
    for place in here {
        assert!(!says(&place), "{place}");
    }
}

#[test]
fn the_same_program_gives_the_same_image() {
    let folder = tempfile::tempdir().unwrap();
    let (_, layer) = opened(&folder.path().join("image"));
    let root = folder.path().join("root");
    unpack(&layer, &root);
    let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
    for output_folder in [&one, &other] {
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["xtask", "image", "--binary"]).arg(root.join("usr/bin/n8n-gateway"));
        build.arg("--output").arg(output_folder);
        build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        output(&mut build);
    }
    for name in ["n8n-gateway.tar", "n8n-gateway.cdx.json"] {
        let [one, other] = [&one, &other].map(|it| fs::read(it.join(name)).unwrap());
        assert!(one == other, "{name} is another one");
    }
}

#[test]
fn the_list_of_what_is_in_it_is_cyclonedx() {
    let file = archive().with_file_name("n8n-gateway.cdx.json");
    checked(
        "import sys; from cyclonedx.validation.json import JsonStrictValidator as V; \
         from cyclonedx.schema import SchemaVersion as S; \
         found = V(S.V1_5).validate_str(open(sys.argv[1]).read()); sys.exit(str(found) if found else 0)",
        &[&file],
    );
    let list: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let components = list["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|it| it["name"] == name);
    assert!(has("rustls") && has("aws-lc-sys") && has("libsqlite3-sys") && !has("criterion"));
    assert!(components.iter().all(|it| it["licenses"][0]["expression"].is_string()));
    let alone = |it: &&Value| it["hashes"].is_null();
    // Ours alone come from no registry.
    assert!(
        components
            .iter()
            .filter(alone)
            .all(|it| { it["name"].as_str().is_some_and(|name| name.starts_with("gateway-")) })
    );
    let needs = list["dependencies"].as_array().unwrap();
    let own = needs.iter().find(|it| it["ref"].as_str().unwrap().contains("/n8n-gateway@"));
    assert!(own.unwrap()["dependsOn"].as_array().unwrap().len() > 20);
}

/// An n8n that answers everything with 200.
fn fake_n8n() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut io in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut asked = [0; 4096];
                while io.read(&mut asked).is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nn8n!";
                    if io.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// What a container's runtime would do: a root that nobody writes to, devices and processes, the policy and
/// two folders that are written, and the program as the first process. Names come from `/etc/hosts`.
const CONTAINER: &str = r#"set -e
cd "$1"
mount --bind root root
mkdir -p root/proc root/dev
touch root/etc/hosts
mount -t proc proc root/proc
mount --rbind /dev root/dev
mount --bind hosts root/etc/hosts
mount --bind policy root/etc/n8n-gateway
mount --bind state root/var/lib/n8n-gateway
mount --bind run root/run/n8n-gateway
mount -o remount,ro,bind root
exec chroot --userspec="$2" root /usr/bin/n8n-gateway run
"#;

/// The image's files, and the folders beside them.
fn laid_out(policy: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (_, layer) = opened(&folder.path().join("image"));
    unpack(&layer, &folder.path().join("root"));
    for name in ["policy", "state", "run"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("hosts"), "127.0.0.1 n8n\n").unwrap();
    fs::write(folder.path().join("policy/policy.yaml"), policy).unwrap();
    folder
}

#[tokio::test]
async fn the_image_serves_with_nothing_else_in_its_root() {
    let _turn = turn().await;
    let [port] = free_ports();
    let policy = format!(
        "version: 1\nsite: {{ host: localhost }}\nlisten: {{ https: [\"127.0.0.1:{port}\"], http: [] }}\n\
         tls: {{ self_signed: true }}\nnetworks: {{ me: [127.0.0.1] }}\naccess: {{ editor: me }}\n\
         n8n: {{ url: \"http://n8n:{}\" }}\nhardening: require\n",
        fake_n8n()
    );
    let folder = laid_out(&policy);
    let path = folder.path();
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut container = tokio::process::Command::new("unshare");
    if root {
        for name in ["state", "run"] {
            chown(path.join(name), Some(USER), Some(USER)).unwrap();
        }
    } else {
        container.arg("--map-root-user");
    }
    let user = if root { USER } else { 0 };
    container.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", CONTAINER, "sh"]);
    container.arg(path).arg(format!("{user}:{user}"));
    let mut running = Process::start("container", &mut container, path);
    let socket = path.join("run/admin.sock");
    eventually("the image serves", async || {
        running.assert_runs();
        (ask_operator(&socket, "/readyz").await?.status == 200).then_some(())
    })
    .await;
    let client = Client::new(TEAM, "localhost", port, &path.join("state/ca.pem"));
    let answer = client.send(Request::get("/"), "").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "n8n!".to_owned()));
    // Its health check, as a runtime asks it, beside the first process.
    let asked = Command::new(path.join("root/usr/bin/n8n-gateway"))
        .args(["status", "--healthy", "--admin"])
        .arg(format!("unix:{}", socket.display()))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout), "the gateway serves\n");
    // A runtime ends the first process, which is the child of what made its surroundings.
    let parent = running.id();
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    output(Command::new("kill").arg("-TERM").arg(children.trim()));
    assert!(running.end().await.success());
    assert!(running.said().contains("\"event\":\"stopped\",\"drained\":true"));
}
