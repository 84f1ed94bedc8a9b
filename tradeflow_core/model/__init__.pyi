from .text import nearest as nearest
