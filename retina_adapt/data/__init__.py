"""Photographs as training data: sources, preparation, pairs, unpaired images, sampling, splits."""

from retina_adapt.data.alignment import Alignment, measure_alignment
from retina_adapt.data.augmentation import Flips, Tones
from retina_adapt.data.draws import Draw, NotADrawError
from retina_adapt.data.duplicates import find_duplicates
from retina_adapt.data.folder_pairs import PairingError, pair_files, require_two_folders
from retina_adapt.data.latent_cache import LatentCache, LatentCacheError, LatentItem
from retina_adapt.data.loading import training_batches
from retina_adapt.data.opening import open_pairs, open_sources, open_training_images, open_training_pairs
from retina_adapt.data.pair_latents import PairItemWithLatents, PairsWithLatents
from retina_adapt.data.pairs import (
    DegradedPairs,
    DegradePair,
    MirrorPair,
    PairItem,
    RealPairs,
    degraded_pairs,
    paired_columns,
    paired_folders,
)
from retina_adapt.data.preparation import PreparationError, PreparedPhotograph, prepare_photograph
from retina_adapt.data.prepared_photographs import PreparedPhotographs
from retina_adapt.data.registration import RegisteredPair, RegistrationError, register_pair
from retina_adapt.data.rows import MissingColumnError
from retina_adapt.data.sampling import EvaluationBatchSampler, SamplingError, TrainingBatchSampler
from retina_adapt.data.separation import require_apart, require_other_photographs
from retina_adapt.data.settings import PairSource, PhotographSource
from retina_adapt.data.sources import DataSourceError, load_images
from retina_adapt.data.splits import PatientLeakError, SplitError, check_no_patient_leak, split_by_patient
from retina_adapt.data.streaming import StreamedImages, StreamShare
from retina_adapt.data.unpaired import (
    CropDegradationError,
    CropSizeError,
    DegradedCrop,
    DegradedCropItem,
    ImageItem,
    RandomCrop,
    UnpairedImages,
    WholeFrame,
)

__all__ = [
    "Alignment",
    "CropDegradationError",
    "CropSizeError",
    "DataSourceError",
    "DegradePair",
    "DegradedCrop",
    "DegradedCropItem",
    "DegradedPairs",
    "Draw",
    "EvaluationBatchSampler",
    "Flips",
    "ImageItem",
    "LatentCache",
    "LatentCacheError",
    "LatentItem",
    "MirrorPair",
    "MissingColumnError",
    "NotADrawError",
    "PairItem",
    "PairItemWithLatents",
    "PairSource",
    "PairingError",
    "PairsWithLatents",
    "PatientLeakError",
    "PhotographSource",
    "PreparationError",
    "PreparedPhotograph",
    "PreparedPhotographs",
    "RandomCrop",
    "RealPairs",
    "RegisteredPair",
    "RegistrationError",
    "SamplingError",
    "SplitError",
    "StreamShare",
    "StreamedImages",
    "Tones",
    "TrainingBatchSampler",
    "UnpairedImages",
    "WholeFrame",
    "check_no_patient_leak",
    "degraded_pairs",
    "find_duplicates",
    "load_images",
    "measure_alignment",
    "open_pairs",
    "open_sources",
    "open_training_images",
    "open_training_pairs",
    "pair_files",
    "paired_columns",
    "paired_folders",
    "prepare_photograph",
    "register_pair",
    "require_apart",
    "require_other_photographs",
    "require_two_folders",
    "split_by_patient",
    "training_batches",
]
