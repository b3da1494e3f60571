"""What a position of a map sees of the input: the theoretical receptive field, and the effective one."""

from tfcnn.receptive_field.effective import empirical_receptive_field
from tfcnn.receptive_field.theoretical import ReceptiveField, receptive_field, receptive_fields, window

__all__ = ["ReceptiveField", "empirical_receptive_field", "receptive_field", "receptive_fields", "window"]
