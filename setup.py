"""Packaging of Twofold; the exact versions CI installs are in constraints.txt."""

from setuptools import find_packages, setup

# Where each package lies in this checkout; all are installed under the one name.
ROOTS = {
    "twofold": "pipeline/api",
    "twofold.components": "components",
    "twofold.pipeline": "pipeline",
    "twofold.serving": "serving",
}
PACKAGES = [
    *ROOTS,
    *(
        f"twofold.{top}.{package}"
        for top in ("components", "pipeline", "serving")
        for package in find_packages(top, exclude=["api", "api.*"])
    ),
]

REQUIRES = [
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<3.16",
    "tensorflow-datasets>=4.9.10,<4.10",
    # tensorflow-datasets imports it on Python 3.11 and newer without declaring it.
    "importlib_resources>=6",
    "apache-beam>=2.77,<2.78",
    # Beam writes TFRecord checksums through it without declaring it.
    "google-crc32c>=1.6",
    # Listings, the table of a dataset's images, and what the stages of preparation hand over.
    "pyarrow>=18",
    # Buckets, by one set of calls.
    "fsspec>=2025.2",
    "tensorboard>=2.20,<2.22",
    "numpy>=2,<3",
    "jinja2>=3.1",
    "pydantic>=2.10,<3",
    "PyYAML>=6",
    "typer>=0.16",
    "rich>=13",
    "matplotlib>=3.9",
    "scikit-learn>=1.6",
    "scipy>=1.14",
    "threadpoolctl>=3.5",
    # AVIF since 11.3.
    "pillow>=11.3",
    "aiohttp>=3.11",
]

# Converters to other runtimes, and the runtimes themselves, which each file is proven with.
RUNTIMES = [
    "tf2onnx>=1.17,<1.18",
    "onnx>=1.20",
    "onnxruntime>=1.24",
    "ai-edge-litert>=2.1,<3",
]

# DaskRunner, a cluster of machines for data preparation. Older ones group by Python's own hashes,
# which differ between processes.
DASK = ["dask>=2026.8,<2027", "distributed>=2026.8,<2027"]

EXTRAS = {
    "runtimes": RUNTIMES,
    # The tab of TensorBoard that shows training.profile_steps.
    "profile": ["tensorboard-plugin-profile>=2.21,<2.22"],
    "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    # HEIC files, as telephones write them.
    "heic": ["pillow-heif>=1.0"],
    "gcp": ["apache-beam[gcp]>=2.77,<2.78", "gcsfs>=2025.2"],
    "dask": DASK,
    "dev": [
        *RUNTIMES,
        *DASK,
        # It reads the ONNX files; the benchmark of runtimes measures it beside the others.
        "openvino>=2026.1",
        "pytest>=8",
        "pytest-xdist>=3.7",
        "pytest-cov>=7",
        "hypothesis>=6.100",
        # It configures TensorFlow for tests once it is imported.
        "wrapt>=1.15",
        "mypy>=1.13",
        "pillow-heif>=1.0",
        "ruff>=0.8",
        "types-PyYAML",
        # Buckets, emulated on this machine.
        "gcsfs>=2025.2",
        "gcp-storage-emulator>=2026.7",
    ],
}

setup(
    name="twofold",
    version="0.1.0",
    description="A TensorFlow production pipeline for self-supervised image encoders",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    package_dir=ROOTS,
    packages=PACKAGES,
    package_data={
        "twofold": ["py.typed"],
        "twofold.components.pages": ["templates/*"],
        "twofold.pipeline.recipes": ["printed/*.csv"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["twofold = twofold.pipeline.cli.app:main"]},
)
