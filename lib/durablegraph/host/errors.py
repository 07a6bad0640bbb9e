"""Why an app cannot be hosted. Each message says what was found, what was expected and what to do."""


class HostError(Exception):
    """The root of what keeps the host from starting."""


class HostConfigurationError(HostError):
    """host.json, local.settings.json or the command line cannot be used as they are."""


class AppLoadError(HostError):
    """The app as a whole cannot be loaded: it has no script, fails to import, or breaks a rule of the worker."""
