import importlib.metadata
import importlib.util
import io

import h2.connection  # of the extra of a dependency
import httptools  # of the extra of an extra
import httpx
from PIL import Image

image = io.BytesIO()
Image.new("1", (2, 2)).save(image, "png")
print(httpx.__version__, h2.__version__, httptools.__version__, image.getvalue()[1:4].decode())
print([name for name in ("tomli", "colorama", "rich") if importlib.util.find_spec(name)])
