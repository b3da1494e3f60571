"""Pictures, and what convolutional networks learn: one file a kind. Arrays first; drawn without a display.

>>> from tfcnn.visualize.attribution import grad_cam
>>> from tfcnn.visualize.points import Target
>>> heat = grad_cam(model, images, Target(channel=281))       # doctest: +SKIP
"""
