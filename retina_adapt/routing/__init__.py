"""Routing: which fault a photograph has, how severe it is, and which adaptor it therefore needs, if any."""

from retina_adapt.routing.checks import ConfusionTable, rank_correlation
from retina_adapt.routing.errors import RouterFileError, RouterSettingsError
from retina_adapt.routing.examples import CameraVariation, DrawExample, RoutingExamples, RoutingItem
from retina_adapt.routing.faults import CLASSES, CLEAR, MIXED, NEGLIGIBLE_SEVERITY, fault_class
from retina_adapt.routing.network import FaultNetwork
from retina_adapt.routing.router import Route, Router, build_network, clear_threshold
from retina_adapt.routing.settings import RouterMetadata, RouterSettings
from retina_adapt.routing.storage import load_router, read_router_metadata, save_router

__all__ = [
    "CLASSES",
    "CLEAR",
    "MIXED",
    "NEGLIGIBLE_SEVERITY",
    "CameraVariation",
    "ConfusionTable",
    "DrawExample",
    "FaultNetwork",
    "Route",
    "Router",
    "RouterFileError",
    "RouterMetadata",
    "RouterSettings",
    "RouterSettingsError",
    "RoutingExamples",
    "RoutingItem",
    "build_network",
    "clear_threshold",
    "fault_class",
    "load_router",
    "rank_correlation",
    "read_router_metadata",
    "save_router",
]
