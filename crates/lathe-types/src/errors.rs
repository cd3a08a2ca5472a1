/// What a failure means to whoever asked. The server turns it into a status, the command line into an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong and stays wrong until it is changed.
    InvalidInput,
    /// The thing asked for does not exist.
    NotFound,
    /// A thing of that name exists already.
    AlreadyExists,
    /// The change contradicts the present state.
    Conflict,
    /// Nobody is known to have sent this.
    Unauthenticated,
    /// Whoever sent this may not do it.
    PermissionDenied,
    /// A bound (queue, rate, body) is full; later it may work.
    Exhausted,
    /// There is no room left to keep anything.
    Full,
    /// Something this needs is away; later it may work.
    Unavailable,
    /// Understood, and not offered here.
    NotImplemented,
    /// Our fault.
    Internal,
}
