//! The events, in the order of a service's and a container's life. The comment of each is its meaning in
//! the table of the catalogue.

use slog::Level::{Debug, Error, Info, Warning};

use super::Event;

/// The parts of the catalogue: each has a title, and begins with that event of [`ALL`].
pub const SECTIONS: [(&str, &Event); 5] = [
    ("The service", &LISTENING),
    ("The queue", &CONTAINER_ADDED),
    ("The scheduler", &SCHEDULED),
    ("The cloud", &CREATING),
    ("A worker", &SSH_KEYS_EXCHANGED),
];

macro_rules! events {
    ($($(#[doc = $meaning:literal])+ $name:ident = $level:ident $message:literal [$($key:literal),* $(,)?];)+) => {
        $(
            $(#[doc = $meaning])+
            pub const $name: Event = Event {
                level: $level,
                message: $message,
                keys: &[$($key),*],
                meaning: concat!($($meaning),+).trim_ascii(),
            };
        )+

        /// Every event, in this order.
        pub const ALL: &[&Event] = &[$(&$name),+];
    };
}

// ---------------------------------------------------------------- the service
events! {
    /// The management API is being served.
    LISTENING = Info "listening" ["URL", "Listen", "Service", "Version"];
    /// The threads of the management API cannot be started, or have failed: it does not answer any more.
    API_FAILED = Error "the management API has failed" ["error"];
    /// Everything has been asked once: scheduling begins.
    READY = Info "ready" ["Duration"];
    /// No database is configured: nothing keeps a second dispatcher from working on the same cluster.
    NO_LOCK = Warning "running without a lock" ["Reason"];
    /// Another process has the one-dispatcher lock: this one stands by and touches nothing. The holder's process
    /// number at the database server, its name there, user, address and time of connection, as far as it may know.
    LOCK_WAITING = Info "waiting for other process to release lock" [
        "HolderPID", "HolderApplication", "HolderUser", "HolderAddress", "HolderSince",
    ];
    /// The database cannot be asked for the lock: this process stands by and tries again.
    LOCK_UNREACHABLE = Error "cannot ask for the lock" ["Database", "error", "Code", "Hint"];
    /// This process has the one-dispatcher lock, and begins to work.
    LOCK_ACQUIRED = Info "lock acquired" ["Database", "Duration"];
    /// The database session with the lock is lost: another process may have it. This one ends at once, without
    /// finishing anything; VMs and containers go on.
    LOCK_LOST = Error "lock lost, exiting" ["Database", "error", "Code"];
    /// Told to stop: VMs and containers go on.
    STOPPING = Info "stopping" ["Signal"];
    /// Stopped in order.
    STOPPED = Info "stopped" ["Duration"];
    /// The loopback cloud has found an instance of an earlier run, and serves it again.
    LOOPBACK_FOUND = Debug "loopback instance found" [];
    /// The loopback cloud cannot write down what it knows of an instance.
    LOOPBACK_UNSAVED = Warning "cannot save loopback instance" ["error"];
    /// A configuration key that nobody here knows.
    UNKNOWN_KEY = Warning "unknown configuration key" ["Path", "Reason"];
    /// A setting that is accepted, and probably not meant.
    DOUBTFUL_SETTING = Warning "doubtful configuration setting" ["Path", "Reason"];
    /// The configuration was read anew (SIGHUP): so many settings have changed, and so many of them need a restart.
    RELOADED = Info "configuration reloaded" ["Changed", "NeedRestart"];
    /// A setting is another now, and holds at once. Secrets are not shown.
    SETTING_CHANGED = Info "setting changed" ["Path", "Before", "Now"];
    /// A setting is another in the file; what holds is the one before, until a restart.
    SETTING_NEEDS_RESTART = Warning "setting needs a restart" ["Path", "Before", "Now"];
    /// Since the configuration was read anew no type suits so many containers. They are cancelled at that time, unless one
    /// is configured until then: if that is not meant, mend the file and reload.
    NO_TYPE_SINCE_RELOAD = Warning "containers fit no configured type any more" ["Containers", "CancelledAt"];
    /// The configuration cannot be used: everything is as before. A line for each fault.
    RELOAD_REFUSED = Error "cannot reload the configuration" ["error"];
    /// The runner's file cannot be read: no VM is created until it can.
    RUNNER_UNREADABLE = Error "cannot read the runner binary" ["Path", "error"];
    /// A system call of our own fails: VMs cannot be reached from here, nothing is created, nobody is judged for silence.
    OWN_SIDE_FAILS = Error "our own side fails" ["error"];
    /// It does not any more.
    OWN_SIDE_WELL = Info "our own side works again" [];
    /// This process was stopped, or its machine slept: connections are opened anew, and nobody was silent meanwhile.
    PAUSED = Warning "this process was paused, connections and deadlines begin anew" ["Duration"];
    /// A renewed certificate of the management API cannot be used: the old one stays.
    CERTIFICATE_UNUSABLE = Error "cannot use the renewed certificate" ["error"];
    /// An actor did not answer in time: health says so.
    ACTOR_SILENT = Error "actor does not answer" ["Actor", "Duration"];
    /// So many lines of a warning or an error were left out, because it came too often, and it did not come again.
    LEFT_OUT = Warning "lines were left out" ["Message"];
    /// The cloud shows instances that are not ours; how many of each set, told once at the start.
    NEIGHBOURS = Info "instances of others in the cloud" ["Instances", "InstanceSets"];
    /// None of them is ours, and some have tags as ours: was the token changed? Jobs on them are lost then.
    MAYBE_OURS = Warning "instances may be ours from before a change of the token" [
        "InstanceSetID", "InstanceSets", "Instances",
    ];
    /// The cloud could not be asked for them.
    NEIGHBOURS_UNKNOWN = Debug "cannot list the instances of others" ["error"];
    /// A request to the management API that changes something, and whose sender has gone before it was answered.
    /// Any other is one line, `response`.
    REQUEST = Info "request" [
        "RequestID", "remoteAddr", "reqBytes", "reqForwardedFor", "reqHost", "reqMethod", "reqPath", "reqQuery",
    ];
    /// A request to the management API that changes something, or has failed, and its answer.
    RESPONSE = Info "response" [
        "RequestID", "remoteAddr", "reqBytes", "reqForwardedFor", "reqHost", "reqMethod", "reqPath", "reqQuery",
        "respBody", "respBytes", "respStatus", "respStatusCode", "timeToStatus", "timeTotal", "timeWriteBody",
    ];

    /// A request that only reads, such as a scrape or a poll, and whose sender has gone before it was answered.
    READ_REQUEST = Debug "request to read" [
        "RequestID", "remoteAddr", "reqBytes", "reqForwardedFor", "reqHost", "reqMethod", "reqPath", "reqQuery",
    ];
    /// A request that only reads, and its answer, which is no error.
    READ_RESPONSE = Debug "response to read" [
        "RequestID", "remoteAddr", "reqBytes", "reqForwardedFor", "reqHost", "reqMethod", "reqPath", "reqQuery",
        "respBody", "respBytes", "respStatus", "respStatusCode", "timeToStatus", "timeTotal", "timeWriteBody",
    ];
    /// Each planning round is written down (`run --record`), the oldest goes first when the limit of bytes is reached.
    RECORDING = Info "recording planning rounds" ["Limit", "Path"];
    /// A planning round could not be written down. The service goes on, and tries the next.
    NOT_RECORDED = Error "cannot record planning rounds" ["Path", "Repeated", "error"];
    /// Rounds came faster than they could be written down.
    ROUNDS_LEFT_OUT = Warning "planning rounds left out of the record" ["Repeated"];
    /// An operator has had something done by the management API: what (hold, drain, run, kill), to which instance or
    /// container, and why. The id is the request's.
    ORDERED = Info "ordered by an operator" ["Action", "By", "Reason", "remoteAddr"];
    /// Requests without the right token were refused; the address is the last one's.
    REQUESTS_REFUSED = Warning "refused requests to the management API" ["Repeated", "remoteAddr", "respStatusCode"];

    // ------------------------------------------------------------ the queue
    /// A container is wanted and can run on these types.
    CONTAINER_ADDED = Info "adding container to queue" ["ContainerUUID", "InstanceTypes", "Priority", "State"];
    /// A container can run on no configured type: its user is told.
    NO_SUITABLE_TYPE = Warning "cancel container with no suitable instance type" ["ContainerUUID", "error"];
    /// A container has ended for good.
    CONTAINER_FINISHED = Info "container finished -- dropping from queue" ["ContainerUUID", "State"];
    /// A container's priority is zero and nothing of it runs.
    CONTAINER_ON_HOLD = Info "container on hold -- dropping from queue" ["ContainerUUID", "State"];
    /// A container is no longer ours to look after.
    CONTAINER_DROPPED = Info "dropping container from queue" ["ContainerUUID", "State", "Reason"];
    /// The controller does not know a container any more.
    CONTAINER_NOT_FOUND = Info "container not found by controller (deleted?)" ["ContainerUUID", "State"];
    /// It has a lock or a process, so it is not believed before the same is answered half a minute later.
    CONTAINER_DOUBTED = Warning "controller does not show a container that has a lock or a process" ["ContainerUUID"];
    /// Nothing is killed, unlocked or forgotten for it before the same was answered three times over two minutes.
    MOST_ABSENT = Error "controller shows most containers no more: is it the right controller, and is its database whole?" ["Absent", "Of"];
    /// Most containers that have a lock or a process are shown, or believed to be deleted.
    MOST_SHOWN = Info "controller shows most containers again, or they are believed to be deleted" [];
    /// A record that cannot be read: it hurts only itself, and its last good picture is kept.
    UNDECODABLE = Warning "skipping undecodable container record" ["ContainerUUID", "error"];
    /// What a container needs cannot be computed: it is left alone for a while, and nobody waits for it.
    MOUNTS_UNREADABLE = Warning "skipping container whose mounts cannot be read" ["ContainerUUID", "error"];
    /// The controller could not be asked; the last picture holds, the next poll tries again.
    UPDATE_FAILED = Error "error updating queue" ["error", "Kind", "Duration"];
    /// Asking the controller works again.
    UPDATE_RECOVERED = Info "queue is being updated again" ["Duration"];
    /// The spot market has taken the instance on which a container had a process.
    LOST_TO_MARKET = Warning "container has lost its instance to the spot market" ["ContainerUUID", "Losses"];
    /// A container wants the spot market, and is placed on demand, because that has taken too much from it (`SpotRetries`).
    MOVED_ON_DEMAND =
        Info "container is placed on demand, because the spot market has taken too much from it" ["ContainerUUID", "Losses"];
    /// Which container requests wait for new containers cannot be read: what the spot market takes from these counts by
    /// container (`SpotRetries`). They run all the same.
    REQUESTS_UNREAD = Warning "cannot read container requests" ["error", "Kind"];
    /// The controller's event feed is connected: what happens there is seen at once.
    FEED_CONNECTED = Info "event feed connected" [];
    /// The controller's event feed cannot be connected, or has ended: the queue is polled as without it, and the
    /// connection is tried again.
    FEED_LOST = Warning "event feed lost" ["error"];
    /// The event feed is connected and has told of nothing for five minutes, although containers have changed: its
    /// token is wrong, which the service does not say, or the site does not log changes of containers.
    FEED_SILENT = Warning "event feed tells nothing" [];
    /// The controller sheds load: fewer calls at a time.
    OVERLOADED = Warning "controller is overloaded, fewer calls at a time" ["Limit"];
    /// A container is ours to run.
    LOCK_SUCCEEDED = Debug "lock succeeded" ["ContainerUUID"];
    /// A container could not be locked; the record tells whether it is ours all the same.
    LOCK_FAILED = Warning "lock failed" ["ContainerUUID", "error", "Kind"];
    /// A container could not be given back.
    UNLOCK_FAILED = Warning "unlock failed" ["ContainerUUID", "Reason", "error", "Kind"];
    /// A container could not be cancelled.
    CANCEL_FAILED = Warning "cancel failed" ["ContainerUUID", "error", "Kind"];

    // ------------------------------------------------------------ the scheduler
    /// A scheduling round.
    SCHEDULED = Debug "scheduling round" ["Containers", "Processes", "maxContainers", "Actions"];
    /// A container gets a place on an instance in use, past others that wait for a quota (`BackfillPatience`).
    LET_PAST = Info "container let past others that wait for a quota" ["ContainerUUID", "Instance"];
    /// An actor said no to an action; the next round looks again.
    ACTION_REFUSED = Debug "action refused" ["Action", "Reason"];
    /// A lock is given back for the sake of more important containers.
    UNLOCK_FOR_CAPACITY =
        Info "unlock because pool capacity is used by higher priority containers" ["ContainerUUID", "Reason", "State"];
    /// The lock of a container without a process is given back, because its attempt came to nothing.
    REQUEUEING = Info "requeueing locked container" ["ContainerUUID", "Reason", "State", "error"];
    /// The last of a container's attempts came to nothing: its user is told why.
    CANCEL_AFTER_STARTS =
        Warning "cancelling container because its last attempt to start failed" ["ContainerUUID", "error"];
    /// Its process has ended without an end of its record.
    CANCEL_AFTER_EXIT =
        Info "cancelling container because state=Running after crunch-run exited" ["ContainerUUID"];
    /// Its record is Running, and no worker has a process.
    CANCEL_NOT_RUNNING = Info "cancelling container because not running on any worker" ["ContainerUUID"];

    // ------------------------------------------------------------ the cloud
    /// A VM is ordered.
    CREATING = Info "creating new instance" ["ContainerUUID", "InstanceType", "ProviderType"];
    /// A VM is ordered that nobody waits for: fewer are idle than `IdleReserve` wants.
    CREATING_SPARE = Info "creating spare instance" ["InstanceType", "ProviderType"];
    /// EC2 did not know the dispatcher's public key, and does now.
    KEY_IMPORTED = Info "public key imported" ["KeyName"];
    /// EC2 has no room in a subnet, or in its zone: the same order goes to the next subnet.
    SUBNET_FULL = Warning "no instance in this subnet, trying the next" ["SubnetID", "error", "Code"];
    /// What a failed order had left in Azure, and nobody used, is no more.
    LEFTOVER_DELETED = Info "left-over resource deleted" ["Kind", "Name"];
    /// Azure keeps what a failed order has left; tried again in five minutes.
    LEFTOVER_KEPT = Warning "cannot delete a left-over resource" ["Kind", "Name", "error", "Code"];
    /// Compute Engine has no room in a zone: the same order goes to the next zone.
    ZONE_FULL = Warning "no instance in this zone, trying the next" ["Zone", "error", "Code"];
    /// One powered itself off, or was stopped by hand: on Compute Engine it is there all the same, and costs.
    STOPPED_DELETED = Info "deleting an instance that has stopped by itself" ["Instance"];
    /// Somebody has written to the metadata item arvados-tags: the instance is left alone, and costs, until a person looks at it.
    TAGS_UNREADABLE = Warning "tags of an instance cannot be read" ["Instance"];
    /// The file of the service account's key, which others may read or write on this machine: chmod o-rw.
    CLOUD_KEY_OPEN = Warning "everybody on this machine may use the key of the cloud" ["Path"];
    /// What spot VMs cost is not known; asked again with the next listing that is due.
    NO_SPOT_PRICES = Warning "cannot fetch spot prices" ["error", "Code"];
    /// A VM could not be had.
    CREATE_FAILED = Error "create failed" ["InstanceType", "ProviderType", "error", "Code"];
    /// A create has no answer: it counts until a later listing lacks it.
    CREATE_UNKNOWN = Warning "outcome of create is unknown" ["InstanceType", "error"];
    /// The account may not have more; told once until an instance is gone or a create succeeds. `Instances`: how many
    /// exist of what the error speaks of (a market, or all), creates in flight not counted.
    AT_QUOTA = Warning "quota error -- waiting for next instance shutdown" ["InstanceType", "Instances", "ResumeAt", "error"];
    /// The cloud has no more of these.
    NO_CAPACITY = Warning "capacity error -- pausing instance create calls" ["InstanceType", "Scope", "ResumeAt", "error"];
    /// The cloud wants fewer calls.
    RATE_LIMITED = Warning "suspending remote calls due to rate-limit error" ["CallType", "Duration", "ResumeAt", "error"];
    /// What has held creates of that scope (an offering, a market, a quota group, all) has ended for good: for a minute there
    /// was no such hold.
    HOLD_ENDED = Info "hold on creates has ended" ["Hold", "Scope", "EndedAt"];
    /// Nothing of that scope (all, a market, a type) is created until then, because an operator wants it so.
    CREATES_PAUSED = Warning "creates are paused by an operator" ["Scope", "ResumeAt", "By", "Reason", "Kept"];
    /// The pause is over.
    CREATES_RESUMED = Info "creates are resumed" ["Scope", "By", "Reason", "Paused"];
    /// Nothing of a type is created any more, and its instances are drained, because an operator wants it so.
    TYPE_DRAINED = Warning "instance type is drained by an operator" ["By", "Reason", "Kept"];
    /// That type is used again.
    TYPE_IN_USE = Info "instance type is in use again" ["By", "Reason"];
    /// What operators have forbidden cannot be kept for the next start, or what was kept cannot be read.
    CORDONS_NOT_KEPT = Error "cannot keep pauses of creates" ["Path", "error"];
    /// Boots fail one after another: one create at a time, at growing distance. Look at the image.
    CREATES_LIMITED = Error "boot failures: creates are limited" ["InstanceType", "ProviderType", "Failures", "ResumeAt"];
    /// The cloud's VMs are known.
    INITIAL_LIST = Info "loaded initial instance list" ["N"];
    /// The cloud could not be asked for its VMs.
    SYNC_FAILED = Error "sync failed" ["error", "Code"];
    /// Listing works again.
    SYNC_RECOVERED = Info "sync succeeded again" ["Duration"];
    /// A VM is in the listing that was not.
    APPEARED = Info "instance appeared in cloud" ["Address", "IdleBehavior", "Instance", "InstanceType", "State"];
    /// A VM of ours whose type is not configured any more, or means another type of the cloud now: drained.
    TYPE_NOT_CONFIGURED = Warning "instance type is no longer configured, draining worker" ["Instance", "ProviderType"];
    /// A VM is not in the listing any more.
    DISAPPEARED = Info "instance disappeared in cloud" ["Instance", "WorkerState", "Reason"];
    /// A VM that we ordered ended before it was in service, and nobody here asked for that: it counts as a failed boot.
    /// `Reason` is the cloud's own (a spot VM taken back, a disk that cannot be had, an image that powers off).
    ENDED_WHILE_BOOTING = Warning "instance ended while it was booting" ["Instance", "Lifetime", "Reason"];
    /// A VM's tags could not be saved; tried again.
    TAGS_FAILED = Warning "saving tags failed" ["error"];
    /// A destroy call failed; tried again until the VM is gone.
    DESTROY_FAILED = Warning "destroy failed" ["error", "Code"];
    /// A VM has been listed for more than 5 minutes after the first call to destroy it, and costs that much an hour. It
    /// is told every minute; the calls go on, at last every half an hour.
    NEVER_ENDS = Error "instance does not end although it was destroyed" ["Since", "Price"];
    /// A VM outlived a destroy call.
    STILL_LISTED = Warning "worker still listed after shutdown; retrying" [];

    // ------------------------------------------------------------ a worker
    /// Whoever listens at a VM's address has let us in, and this is how the connection's keys were agreed on. Of the client
    /// `openssh` that is not known.
    SSH_KEYS_EXCHANGED = Debug "ssh keys are exchanged" ["KeyExchange"];
    /// A connection to a VM is open, and the VM is the one it should be.
    SSH_CONNECTED = Debug "ssh connected" [];
    /// A VM shows another host key than before: it is verified anew before any command runs.
    HOST_KEY_CHANGED = Warning "host key has changed" [];
    /// The VM is not the one it should be, or cannot prove it: no command runs there.
    VERIFICATION_FAILED = Warning "host key verification failed" ["error"];
    /// A VM that had proven itself cannot any more: it gets nothing new, and what runs there is kept for an hour at
    /// most.
    UNPROVEN = Error "instance cannot prove itself any more" ["error", "Hint"];
    /// The file with a VM's secret is not there any more, or another; the copy beside its fence is right.
    SECRET_LOST = Warning "secret is lost, its copy proves the instance" ["Instance", "error"];
    /// The VM does not accept our key or user.
    AUTHENTICATION_FAILED = Warning "ssh authentication failed" ["error"];
    /// The connection to a VM broke.
    CONNECTION_LOST = Debug "connection lost" [];
    /// The VM has booted.
    BOOT_PROBE_SUCCEEDED =
        Info "boot probe succeeded" ["Address", "Command", "Instance", "InstanceType", "stderr", "stdout"];
    /// The VM has not booted yet.
    NOT_BOOTED = Debug "not booted yet" ["Command", "error", "stderr", "stdout"];
    /// The boot probe fails on a VM that should have booted.
    BOOT_PROBE_FAILED =
        Warning "boot probe failed" ["Address", "Command", "Instance", "InstanceType", "error", "stderr", "stdout"];
    /// A VM was given up before it was in service; `cloudtest` helps to find out why.
    BOOT_FAILED = Warning "boot failed" ["Duration", "error", "stderr", "Hint"];
    /// The runner is copied to a VM.
    INSTALLING_RUNNER = Info "installing runner binary on worker" ["Path", "Hash"];
    /// The runner could not be copied.
    INSTALL_FAILED = Warning "installing runner binary failed" ["Path", "error", "stderr"];
    /// A list of processes was got.
    PROBE_SUCCEEDED = Debug "probe succeeded" ["Address", "Command", "Instance", "InstanceType", "stderr", "stdout"];
    /// The VM did not tell its processes, or nonsense.
    PROBE_FAILED = Warning "probe failed" ["Command", "Line", "Since", "error", "stderr", "stdout"];
    /// The VM says of itself that it is broken: drained.
    BROKEN = Warning "probe reported broken instance" [];
    /// `crunch-run --list` printed a line that is neither a container nor `broken`: it is skipped, and told once for
    /// each VM. A login shell that greets does that.
    STRANGE_LIST = Warning "skipping a line of a process list" ["Line"];
    /// The fence on the VM is ours: only we start and end processes there. For that many seconds a start of a dispatcher
    /// without fences may still show.
    FENCED = Debug "fence claimed" ["Unfenced"];
    /// The fence on the VM cannot be claimed: nothing is started there. `error` says why: no `flock`, a full disk.
    NOT_FENCED = Error "cannot claim the fence on an instance" ["Command", "error", "stderr"];
    /// The fence on the VM, which was ours, has another dispatcher's mark: two are at work, and this one does nothing
    /// there any more.
    FENCED_BY_ANOTHER = Error "another dispatcher has claimed the fence on an instance, leaving it alone" [];
    /// We stop, and the fence on the VM could not be told. A dispatcher without fences should not begin within a minute
    /// after that and end again: its last starts would go unnoticed.
    FENCE_NOT_RELEASED = Warning "cannot release the fence on an instance" ["error", "stderr"];
    /// The same, of instances that did not answer in time.
    FENCES_NOT_RELEASED = Warning "cannot release the fences of all instances in time" [];
    /// A command on the VM tells the ends of processes there.
    WATCHED = Debug "watching for ends of processes" [];
    /// It does not any more; begun again as soon as that makes sense.
    WATCH_ENDED = Debug "watch ended" ["Reason", "Duration"];
    /// The VM cannot be watched: its sshd allows too few sessions, it has no `flock`, or what it prints makes no sense.
    /// It is tried again after ten minutes; meanwhile ends are seen by probes alone.
    NOT_WATCHED = Info "not watching the instance for ten minutes" ["Reason", "Duration"];
    /// The end of a process was told: the VM is asked for its processes at once.
    END_HINTED = Debug "end of a crunch-run process told, probing" ["ContainerUUID"];
    /// A process is dead, and a helper still holds its lock.
    STALE_LOCK_FOUND = Info "stale run lock found" ["ContainerUUID"];
    /// A process's helper holds its lock for too long: drained.
    STALE_LOCK = Warning "stale run lock, draining worker" ["ContainerUUID", "Duration"];
    /// The VM takes containers from now on.
    IN_SERVICE = Info "probes succeeded, instance is in service" [
        "Address", "Instance", "InstanceType", "ProbeStart", "RunningContainers", "State",
    ];
    /// The VM has not answered for too long.
    UNRESPONSIVE = Warning "instance unresponsive, shutting down" ["Since", "error", "stderr", "Hint"];
    /// The cloud will take the VM away, as one of its processes has reported: it gets nothing new.
    SPOT_NOTICE = Warning "cloud will take the instance away, it gets nothing new" ["ContainerUUID", "Notice"];
    /// A spot VM is gone that nobody here has ended. `Lifetime` is in seconds.
    INTERRUPTED = Warning "spot instance was taken by the cloud" ["Instance", "InstanceType", "Lifetime"];
    /// VMs, whatever their state, have been out of reach for a minute or longer; told once a minute, of all of them
    /// together. `Cause` is the one that most of them have (`WithCause`), `Since` the seconds of the longest, `Instance` and
    /// `error` are an example of that cause.
    UNREACHED = Warning "instances cannot be reached" ["Instances", "Of", "Since", "Cause", "WithCause", "error"];
    /// Most VMs do not answer: the fault is rather ours (network, key, DNS), so none is destroyed until one answers.
    HOLDING_DESTROYS = Error "holding off destroys: most workers are unreachable" ["Instances", "Unreachable"];
    /// One of the silent VMs answers, or a new one: unresponsive ones are shut down again.
    RESUMING_DESTROYS = Warning "unresponsive instances are shut down again" ["Reason"];
    /// A start command goes out.
    STARTING = Debug "starting container" ["Address", "ContainerUUID", "Instance", "InstanceType", "Priority"];
    /// A container has a process.
    STARTED = Info "crunch-run process started" ["Address", "ContainerUUID", "Instance", "InstanceType", "Duration"];
    /// A start command failed; the next probe tells whether something started all the same.
    START_FAILED = Error "error starting crunch-run process" ["ContainerUUID", "error", "stderr", "stdout"];
    /// A start has come to nothing without a word: what crunch-run has written into the VM's journal since.
    LAST_WORDS = Warning "start came to nothing, last lines of the journal" ["ContainerUUID", "Journal"];
    /// Starts failed one after another on one VM: drained. Look at its disk.
    STARTS_FAIL = Warning "starts fail on this instance" ["error", "stderr"];
    /// A process was found that an earlier dispatcher started.
    PROCESS_DETECTED = Info "crunch-run process detected" ["ContainerUUID"];
    /// A container's process is gone.
    PROCESS_ENDED = Info "crunch-run process ended" ["Address", "ContainerUUID", "Instance", "InstanceType", "Duration"];
    /// A container's process is to end.
    KILLING =
        Info "killing crunch-run process" ["Address", "ContainerUUID", "Instance", "InstanceType", "Reason"];
    /// A signal goes out.
    SIGNALLING = Info "sending signal" ["Address", "ContainerUUID", "Instance", "InstanceType", "Signal"];
    /// The process outlived a signal; the next follows.
    KILL_UNSUCCESSFUL = Info "kill attempt unsuccessful" ["ContainerUUID", "Signal", "error", "stderr", "stdout"];
    /// The process outlived all signals.
    ABANDONED = Warning "crunch-run process abandoned" ["ContainerUUID", "Duration"];
    /// A container could not be ended on this VM: nothing new is placed there.
    UNKILLABLE = Warning "unkillable container, draining worker" ["ContainerUUID"];
    /// What is to happen with a VM was changed.
    SET_IDLE_BEHAVIOR = Info "set idle behavior" [
        "Address", "By", "IdleBehavior", "Instance", "InstanceType", "Reason",
    ];
    /// A VM is drained to be renewed: it is older than MaxInstanceAge, or it would be made otherwise today. What runs there
    /// goes on, and it is shut down when it is empty.
    RENEWING = Info "instance is being renewed" ["Address", "Age", "Instance", "InstanceType", "Reason"];
    /// A VM on hold has not answered, or not since an earlier dispatcher's last starts would be listed: what it runs is
    /// not known, and containers may wait for that.
    HELD_UNKNOWN = Error "instance on hold does not answer" [];
    /// A VM is not needed any more.
    SHUTDOWN_WORKER = Info "shutdown worker" ["State", "IdleBehavior", "IdleDuration", "Reason"];
    /// A VM is being destroyed.
    SHUTTING_DOWN = Info "shutting down" ["Address", "Instance", "InstanceType", "Reason"];
    /// A silent VM has shown a living process before the cloud was asked to end it: it is kept.
    REPRIEVED = Warning "shutdown taken back: the instance answers, and a process lives there" [];

}
