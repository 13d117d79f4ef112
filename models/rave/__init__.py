"""RAVE-interface textures: a TorchScript model that re-sings what it hears."""

ADAPTER = "models.rave.adapter:Rave"
KIND = "texture"
