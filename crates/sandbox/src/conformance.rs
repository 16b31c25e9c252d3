//! What every sandbox must do, whatever is behind it: each backend's test calls [`check`].

mod exec;
mod files;
mod fork;
mod isolation;
mod shell;
mod transfer;
mod tunnel;

use std::time::Duration;

use crate::sandbox::{Sandbox, SandboxExt, Sandboxes};
use crate::spec::{SandboxSpec, User};

/// What a backend claims to be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Files only: a fake that runs nothing.
    Files,
    /// Everything: real processes in a real container.
    Everything,
}

const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the whole suite; `spec` names an image with bash, coreutils, findutils, git and Python.
///
/// # Panics
/// When the backend does not behave.
pub async fn check(sandboxes: &dyn Sandboxes, spec: &SandboxSpec, scope: Scope) {
    files(sandboxes, spec).await;
    if scope == Scope::Everything {
        processes(sandboxes, spec).await;
    }
    sandboxes.drain().await;
}

async fn files(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) {
    let sandbox = fresh(sandboxes, spec).await;
    files::a_file_is_written_and_read(&*sandbox).await;
    files::an_edit_must_be_unique(&*sandbox).await;
    files::what_is_missing_is_told_to_the_agent(&*sandbox).await;
    files::a_search_finds_lines(&*sandbox).await;
    files::a_listing_goes_two_levels_deep(&*sandbox).await;
    files::a_delta_says_what_changed(&*sandbox).await;
    files::raw_bytes_survive(&*sandbox).await;
    let other = fresh(sandboxes, spec).await;
    transfer::files_are_carried_over(&*sandbox, &*other).await;
    end(other).await;
    end(sandbox).await;
}

async fn processes(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) {
    commands(sandboxes, spec).await;
    walls(sandboxes, spec).await;
    ways_out(sandboxes, spec).await;
}

async fn commands(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) {
    let sandbox = fresh(sandboxes, spec).await;
    shell::a_session_remembers(&*sandbox).await;
    shell::sessions_do_not_mix(&*sandbox).await;
    shell::a_background_job_does_not_hold_the_command(&*sandbox).await;
    shell::broken_syntax_ends_at_once(&*sandbox).await;
    shell::the_end_can_not_be_forged(&*sandbox).await;
    shell::a_stubborn_process_is_killed_and_the_session_survives(&*sandbox).await;
    shell::a_loop_is_interrupted(&*sandbox).await;
    shell::an_older_background_job_survives_a_timeout(&*sandbox).await;
    shell::an_exit_begins_the_session_again(&*sandbox).await;
    exec::a_program_is_fed_and_reports(&*sandbox).await;
    exec::fifty_megabytes_are_bounded(&*sandbox).await;
    exec::binary_output_arrives_exactly(&*sandbox).await;
    exec::a_timeout_reaches_grandchildren(&*sandbox).await;
    exec::a_slow_program_stalls_nobody(&*sandbox).await;
    exec::a_program_that_closes_its_output_is_not_waited_for(&*sandbox).await;
    end(sandbox).await;
}

async fn walls(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) {
    let sandbox = fresh(sandboxes, spec).await;
    isolation::the_agent_has_no_power(&*sandbox).await;
    isolation::localhost_has_a_name(&*sandbox).await;
    isolation::secrets_are_out_of_reach(&*sandbox).await;
    isolation::checks_are_not_observed(&*sandbox).await;
    isolation::looks_go_on_while_the_agent_stands_still(&*sandbox).await;
    isolation::nobody_else_can_call_the_host(&*sandbox).await;
    isolation::file_operations_have_the_agents_rights(&*sandbox).await;
    isolation::a_pipe_or_device_does_not_block(&*sandbox).await;
    isolation::as_agent_lends_no_power(&*sandbox).await;
    exec::services_start_and_stop(&*sandbox).await;
    exec::the_agent_is_killed_and_services_live(&*sandbox).await;
    exec::usage_is_told(&*sandbox).await;
    end(sandbox).await;

    let of_root = SandboxSpec { user: User::Root, ..spec.clone() };
    let sandbox = fresh(sandboxes, &of_root).await;
    isolation::looks_go_on_while_the_agent_stands_still(&*sandbox).await;
    end(sandbox).await;
}

async fn ways_out(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) {
    let sandbox = fresh(sandboxes, spec).await;
    tunnel::many_connections_share_a_port(&*sandbox).await;
    tunnel::either_side_may_end_first(&*sandbox).await;
    tunnel::what_streams_arrives_at_once(&*sandbox).await;
    tunnel::a_slow_receiver_holds_its_sender(&*sandbox).await;
    tunnel::ports_of_the_task_are_its_own(&*sandbox).await;
    end(sandbox).await;

    let sandbox = fresh(sandboxes, spec).await;
    fork::a_fork_goes_on_from_where_it_was(&*sandbox, sandboxes).await;
    end(sandbox).await;

    let (from, to) = (fresh(sandboxes, spec).await, fresh(sandboxes, spec).await);
    transfer::only_harmless_things_are_carried(&*from, &*to).await;
    transfer::too_much_is_refused(&*from, &*to).await;
    transfer::two_sandboxes_do_not_mix(&*from, &*to).await;
    transfer::a_manifest_sees_everything(&*from).await;
    end(from).await;
    end(to).await;
}

async fn fresh(sandboxes: &dyn Sandboxes, spec: &SandboxSpec) -> Box<dyn Sandbox> {
    sandboxes.create(spec).await.expect("a sandbox is made")
}

async fn end(sandbox: Box<dyn Sandbox>) {
    sandbox.stop().await.expect("it stops");
    assert!(sandbox.usage().await.is_err(), "a stopped sandbox still answers");
    sandbox.stop().await.expect("a second stop does nothing");
}

/// Runs a command in the main session and gives back what it printed.
async fn sh(sandbox: &dyn Sandbox, command: &str) -> String {
    let ran = sandbox.shell("main", command, TIMEOUT).await.expect("the shell answers");
    ran.output.text()
}
