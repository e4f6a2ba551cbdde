//! Notifications to systemd. Without systemd nothing happens.

use async_io::Timer;
use sd_notify::NotifyState;

/// The server accepts connections, or has reloaded its settings.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server reads its settings again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The server says goodbye.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Shows for ever that tasks have their turns, twice in each time that systemd allows for it.
pub async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut timer = Timer::interval(limit / 2);
    loop {
        tell(&[NotifyState::Watchdog]);
        futures_lite::StreamExt::next(&mut timer).await;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // An error means that nobody listens.
    let _ = sd_notify::notify(state);
}
