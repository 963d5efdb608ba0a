"""See the package."""

from importlib.metadata import version

from tests.releases import HERE, make

folder = HERE / version("xlt")
folder.mkdir()
make(folder)
