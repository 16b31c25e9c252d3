//! Builds the shim as a static program, so that it can be embedded: `trajforge` stays one binary.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("cargo::error=the shim could not be built: {problem}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by environment variables")]
fn build() -> Result<(), String> {
    let variable = |name: &str| env::var(name).map_err(|_| format!("cargo did not set {name}"));
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    // The container runs on this machine's kernel, so its architecture is the target's; only glibc is at hand.
    let target = variable("TARGET")?.replace("-musl", "-gnu");
    let shim = here.join("shim");
    for path in ["shim/src", "shim/Cargo.toml", "../../Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", here.join(path).display());
    }

    let mut command = Command::new(variable("CARGO")?);
    command
        .args(["build", "--quiet", "--profile", "shim", "--bin", "trajforge-shim"])
        .args(["--target", &target])
        .arg("--manifest-path")
        .arg(shim.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(out.join("shim"));
    for (name, _) in env::vars() {
        // What cargo tells this script about its own build must not reach the other one.
        let is_ours = matches!(
            name.as_str(),
            "CARGO_ENCODED_RUSTFLAGS"
                | "RUSTC"
                | "RUSTC_WRAPPER"
                | "RUSTC_WORKSPACE_WRAPPER"
                | "RUSTDOC"
                | "CARGO_BUILD_TARGET"
        ) || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_FEATURE_")
            || name.starts_with("CARGO_CFG_");
        if is_ours {
            command.env_remove(name);
        }
    }
    command.env("RUSTFLAGS", "-C target-feature=+crt-static");
    let status = command.status().map_err(|error| error.to_string())?;
    if !status.success() {
        return Err(format!("cargo ended with {status}"));
    }
    let built = out.join("shim").join(&target).join("shim/trajforge-shim");
    publish(&built)
}

fn publish(built: &Path) -> Result<(), String> {
    if !built.is_file() {
        return Err(format!("{} is missing", built.display()));
    }
    println!("cargo::rustc-env=TRAJFORGE_SHIM={}", built.display());
    Ok(())
}
