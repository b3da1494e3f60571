"""In place of training, for the test that continues the study."""


def trainer(config, go_on):
    go_on(1, {"val_accuracy": config.width, "val_loss": 1.0})
    return {"val_accuracy": config.width, "epochs": 1}
