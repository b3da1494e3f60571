def narrow(hp):
    return {"width": hp.Choice("width", [0.25, 0.5]), "lr": hp.Float("lr", 1e-3, 1e-2, sampling="log")}
