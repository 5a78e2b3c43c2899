"""Health of endpoints and Bedrock models: checks with real vectors, history, events, recovery actions and status."""

from embedstack.lazy import lazy_attributes

__all__ = ["HealthMonitor", "State", "load_monitor"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "HealthMonitor": "embedstack.health.monitor",
        "State": "embedstack.health.states",
        "load_monitor": "embedstack.health.monitor",
    },
)
