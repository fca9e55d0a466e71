"""DRF's admin of tokens looks for users by an admin of theirs."""

from django.contrib import admin
from django.contrib.auth import get_user_model

User = get_user_model()


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    search_fields = (User.USERNAME_FIELD,)
    ordering = (User.USERNAME_FIELD,)
