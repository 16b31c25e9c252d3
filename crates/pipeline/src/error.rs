//! What the user gets to see when something can't go on: one message, a hint, a code with a page, an exit code.

use std::path::PathBuf;

use trajforge_schema::{Failure, FailureCode};

/// Why a command can't go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something about a template.
    #[error(transparent)]
    Template(#[from] trajforge_template::Error),
    /// Something about a plan or a queue.
    #[error(transparent)]
    Scheduler(#[from] trajforge_scheduler::Error),
    /// Something about a record.
    #[error(transparent)]
    Trajectory(#[from] trajforge_trajectory::Error),
    /// Something about a model.
    #[error(transparent)]
    Router(#[from] trajforge_router::Error),
    /// Something about sandboxes.
    #[error(transparent)]
    Sandbox(#[from] trajforge_sandbox::Error),
    /// A scaffold's manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] trajforge_rollout::scaffold::Invalid),
    /// Something about a dataset.
    #[error(transparent)]
    Dataset(#[from] trajforge_dataset::Error),
    /// Something about a filter.
    #[error(transparent)]
    Filter(#[from] trajforge_filter::Error),
    /// A rollout failed in a way that would fail all others too.
    #[error("the run was stopped: {}", .0.message)]
    Stopped(Failure),
    /// The template of a planned rollout has changed since.
    #[error("{template} renders seed {seed} to another task than when the run was planned")]
    TemplateChanged {
        /// The template.
        template: String,
        /// The seed.
        seed: u64,
    },
    /// Seeds that can't be read.
    #[error("{text:?} is no list of seeds")]
    Seeds {
        /// What was given.
        text: String,
    },
    /// No such scaffold.
    #[error("there is no scaffold {name:?}")]
    UnknownScaffold {
        /// What was asked for.
        name: String,
        /// Those that there are beside the native ones.
        external: Vec<String>,
    },
    /// The run has no such rollout.
    #[error("{} has no rollout {id:?}", run.display())]
    UnknownRollout {
        /// The run's folder.
        run: PathBuf,
        /// What was asked for.
        id: String,
        /// The nearest id there is.
        nearest: Option<String>,
    },
    /// A rollout without a record.
    #[error("the rollout {id} has no record yet")]
    NoRecord {
        /// Its id.
        id: String,
    },
    /// No content was found.
    #[error("no folder with templates/ and images/ was found here or above")]
    NoHome,
    /// A signal ended the work.
    #[error("interrupted")]
    Interrupted,
}

/// A user-facing error's code: its page is `docs/errors/CODE.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A template has a fault.
    Tf101,
    /// There is no such template, scaffold, model or rollout.
    Tf102,
    /// A folder that was to be made is there already.
    Tf103,
    /// There is no run, or no dataset, at that place.
    Tf104,
    /// Another process works on the run.
    Tf105,
    /// A record can't be read.
    Tf106,
    /// The request makes no plan.
    Tf107,
    /// A template has changed under a planned run.
    Tf108,
    /// The dataset can't be made of these runs.
    Tf109,
    /// Docker does not answer.
    Tf201,
    /// An image is missing and can't be made.
    Tf202,
    /// The disk is full.
    Tf203,
    /// A file or folder can't be used.
    Tf204,
    /// The container engine or a sandbox misbehaved.
    Tf205,
    /// A port can't be listened on.
    Tf206,
    /// A model can't be used.
    Tf301,
    /// A model's key is missing, or its entry is wrong.
    Tf302,
    /// A signal ended the work.
    Tf401,
}

impl Code {
    /// `TF101` ...
    pub fn name(self) -> String {
        format!("{self:?}").to_uppercase()
    }

    /// The exit code: 3 for what was asked, 4 for this machine, 5 for a model, 130 for a signal.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Tf101
            | Self::Tf102
            | Self::Tf103
            | Self::Tf104
            | Self::Tf105
            | Self::Tf106
            | Self::Tf107
            | Self::Tf108
            | Self::Tf109 => 3,
            Self::Tf201 | Self::Tf202 | Self::Tf203 | Self::Tf204 | Self::Tf205 | Self::Tf206 => 4,
            Self::Tf301 | Self::Tf302 => 5,
            Self::Tf401 => 130,
        }
    }
}

impl Error {
    /// The code, whose page says more.
    pub fn code(&self) -> Code {
        use trajforge_dataset::Error as Dataset;
        use trajforge_router::Error as Router;
        use trajforge_scheduler::Error as Scheduler;
        use trajforge_template::Error as Template;
        use trajforge_trajectory::Error as Trajectory;
        match self {
            Self::Template(Template::Fault(_) | Template::Id(_)) => Code::Tf101,
            Self::Template(Template::UnknownTemplate { .. })
            | Self::UnknownScaffold { .. }
            | Self::Manifest(_)
            | Self::UnknownRollout { .. }
            | Self::NoRecord { .. }
            | Self::NoHome
            | Self::Router(Router::UnknownModel { .. }) => Code::Tf102,
            Self::Template(Template::OutputExists(_))
            | Self::Trajectory(Trajectory::RunExists { .. })
            | Self::Dataset(Dataset::Exists { .. }) => Code::Tf103,
            Self::Trajectory(Trajectory::NoRun { .. }) | Self::Dataset(Dataset::NoDataset { .. }) => {
                Code::Tf104
            }
            Self::Trajectory(Trajectory::Locked { .. }) => Code::Tf105,
            Self::Trajectory(Trajectory::Io { source, .. })
            | Self::Template(Template::Io { source, .. })
            | Self::Dataset(Dataset::Io { source, .. })
            | Self::Router(Router::Capture { source, .. } | Router::Ledger { source, .. }) => of_io(source),
            Self::Scheduler(
                Scheduler::NoModel { .. } | Scheduler::NothingToPlan { .. } | Scheduler::PlannedTwice { .. },
            )
            | Self::Router(Router::Route { .. })
            | Self::Seeds { .. } => Code::Tf107,
            Self::Scheduler(error) if error.is_disk_full() => Code::Tf203,
            Self::Dataset(Dataset::Empty | Dataset::TooFewClusters { .. }) | Self::Filter(_) => Code::Tf109,
            Self::Trajectory(_)
            | Self::Scheduler(_)
            | Self::Dataset(_)
            | Self::Router(Router::Cassette { .. }) => Code::Tf106,
            Self::TemplateChanged { .. } => Code::Tf108,
            Self::Sandbox(error) => of_failure(error.code()),
            Self::Stopped(failure) => of_failure(failure.code),
            Self::Router(Router::Listen { .. }) => Code::Tf206,
            Self::Router(Router::Request { .. } | Router::Client(_)) => Code::Tf301,
            Self::Router(_) => Code::Tf302,
            Self::Interrupted => Code::Tf401,
        }
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let of_place = || match self.code() {
            Code::Tf204 => Some("choose another folder with --out, or mend its permissions".to_owned()),
            _ => None,
        };
        self.own_hint().or_else(of_place)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Template(error) => error.hint(),
            Self::Scheduler(error) => error.hint().map(str::to_owned),
            Self::Trajectory(error) => error.hint().map(str::to_owned),
            Self::Router(error) => error.hint(),
            Self::Dataset(error) => error.hint().map(str::to_owned),
            Self::Filter(error) => error.hint().map(str::to_owned),
            Self::Sandbox(error) => error.hint().map(str::to_owned),
            Self::Stopped(failure) => Some(of_stop(failure).to_owned()),
            Self::TemplateChanged { .. } => {
                Some("put the template back as it was, or raise its version and start a new run".to_owned())
            }
            Self::Seeds { .. } => Some("write 0..10 (0 to 9), 0..=9, or 1,4,7".to_owned()),
            Self::UnknownScaffold { external, .. } => {
                let native = trajforge_rollout::scaffold::NATIVE.map(|style| style.name);
                let names = ["oracle", "nop"].into_iter().chain(native);
                let names: Vec<&str> = names.chain(external.iter().map(String::as_str)).collect();
                Some(format!("the scaffolds are {}", names.join(", ")))
            }
            Self::Manifest(_) => Some("docs/scaffolds.md says what stands in a scaffold.yaml".to_owned()),
            Self::UnknownRollout { nearest: Some(id), .. } => Some(format!("did you mean {id}?")),
            Self::UnknownRollout { .. } => Some("`trajforge status RUN` lists them".to_owned()),
            Self::NoRecord { .. } => Some("resume the run with `trajforge run --resume`".to_owned()),
            Self::NoHome => Some("run inside a checkout, or name one with --home".to_owned()),
            Self::Interrupted => Some("go on with `trajforge run --resume --out DIR`".to_owned()),
        }
    }
}

fn of_failure(code: FailureCode) -> Code {
    match code {
        FailureCode::DockerUnreachable => Code::Tf201,
        FailureCode::ImageMissing => Code::Tf202,
        FailureCode::DiskFull => Code::Tf203,
        FailureCode::ModelUnreachable
        | FailureCode::ModelTimeout
        | FailureCode::ModelRefused
        | FailureCode::ModelUnpaid
        | FailureCode::ContentRefused
        | FailureCode::ModelOverloaded
        | FailureCode::ModelMalformed
        | FailureCode::ContextOverflow => Code::Tf301,
        _ => Code::Tf205,
    }
}

fn of_io(error: &std::io::Error) -> Code {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Code::Tf203,
        _ => Code::Tf204,
    }
}

fn of_stop(failure: &Failure) -> &'static str {
    match of_failure(failure.code) {
        Code::Tf201 => {
            "start Docker, then go on with `trajforge run --resume`; nothing that was finished is lost"
        }
        Code::Tf202 => {
            "`trajforge doctor` says why the image can't be made; then go on with `trajforge run --resume`"
        }
        Code::Tf203 => "make room on the disk, then go on with `trajforge run --resume`",
        Code::Tf301 => {
            "is the endpoint running, and are base URL, model name and key right? then `trajforge run --resume`"
        }
        _ => {
            "`trajforge doctor` shows whether this machine is well; then go on with `trajforge run --resume`"
        }
    }
}
