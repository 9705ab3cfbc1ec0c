//! What the configuration says of the directory that accounts follow.

use std::time::Duration;

use crate::domain::id::GroupName;

use super::DirectoryPort;

/// The directory, and what is made of it.
#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// The directory itself.
    pub port: DirectoryPort,
    /// How often it is read.
    pub every: Duration,
    /// Every user sees the staff as a book.
    pub staff_book: bool,
    /// With more people than these, the staff's book can be searched only.
    pub gateway_above: usize,
    /// The group whose members, of those that come from the directory, may administer.
    pub admin_group: Option<GroupName>,
    /// How many of a thousand users may leave at once before somebody must say that it is so: a
    /// wrong search base looks like everybody's leaving.
    pub most_leavers: usize,
}

impl DirectorySettings {
    /// A directory with everything else as it is unless configured.
    pub fn new(port: DirectoryPort) -> Self {
        Self {
            port,
            every: Duration::from_secs(15 * 60),
            staff_book: true,
            gateway_above: 5000,
            admin_group: None,
            most_leavers: 200,
        }
    }
}
