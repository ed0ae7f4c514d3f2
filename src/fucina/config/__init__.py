"""The recipe: every setting declared once, with its default, meaning and range.

A recipe is a YAML file of sections; a section is one small class here and belongs to one stage.
The command line, the JSON schema and the docs read the settings from these classes.
"""

from fucina.config.advise import (
    WAYS,
    AdviseConfig,
    ComponentConfig,
    ContenderConfig,
    CostConfig,
    Way,
)
from fucina.config.chat import ChatConfig
from fucina.config.constitution import ConstitutionConfig, JudgeConfig, RuleConfig
from fucina.config.data import DataConfig
from fucina.config.engine import EngineConfig
from fucina.config.evaluation import (
    COST_GOALS,
    LABEL_BASELINES,
    LABEL_METRICS,
    LOW_IS_GOOD,
    SPAN_METRICS,
    TEXT_METRICS,
    EvaluationConfig,
    metric_name,
)
from fucina.config.expectations import ExpectationsConfig
from fucina.config.model import AdapterConfig, ModelConfig
from fucina.config.names import ALIASES, NAMES, Names
from fucina.config.prepare import (
    AugmentConfig,
    PhaseConfig,
    PromptConfig,
    SynthesisConfig,
)
from fucina.config.recipe import Recipe
from fucina.config.retrieval import AnswerConfig, IndexConfig, SearchConfig
from fucina.config.rules import AnswerRuleConfig, RulesConfig
from fucina.config.serve import RouteConfig, ServeConfig
from fucina.config.settings import Settings, section
from fucina.config.ship import ShipConfig
from fucina.config.tasks import task_sections
from fucina.config.training import FoldsConfig, LossConfig, StoppingConfig, TrainingConfig

__all__ = [
    "ALIASES",
    "COST_GOALS",
    "LABEL_BASELINES",
    "LABEL_METRICS",
    "LOW_IS_GOOD",
    "NAMES",
    "SPAN_METRICS",
    "TEXT_METRICS",
    "WAYS",
    "AdapterConfig",
    "AdviseConfig",
    "AnswerConfig",
    "AnswerRuleConfig",
    "AugmentConfig",
    "ChatConfig",
    "ComponentConfig",
    "ConstitutionConfig",
    "ContenderConfig",
    "CostConfig",
    "DataConfig",
    "EngineConfig",
    "EvaluationConfig",
    "ExpectationsConfig",
    "FoldsConfig",
    "IndexConfig",
    "JudgeConfig",
    "LossConfig",
    "ModelConfig",
    "Names",
    "PhaseConfig",
    "PromptConfig",
    "Recipe",
    "RouteConfig",
    "RuleConfig",
    "RulesConfig",
    "SearchConfig",
    "ServeConfig",
    "Settings",
    "ShipConfig",
    "StoppingConfig",
    "SynthesisConfig",
    "TrainingConfig",
    "Way",
    "metric_name",
    "section",
    "task_sections",
]
