# SPDX-License-Identifier: Apache-2.0
# DevStack plugin: two tagged Ceph clusters, types, Glance store, Nova filter.
#
#   [[local|localrc]]
#   enable_plugin cinder-tagged <URL of this repository>

if [[ "$1" == "stack" ]]; then
    case "$2" in
        pre-install) tagged_install_packages ;;
        install) tagged_install ;;
        post-config)
            tagged_start_clusters
            tagged_configure_scheduler
            if is_service_enabled g-api; then
                tagged_configure_glance
            fi
            if is_service_enabled n-api; then
                tagged_configure_nova
            fi
            ;;
        extra)
            if is_service_enabled n-cpu && [[ "$VIRT_DRIVER" == "libvirt" ]]; then
                tagged_define_secrets
            fi
            ;;
        test-config) tagged_check ;;
    esac
elif [[ "$1" == "unstack" ]]; then
    tagged_stop_clusters
elif [[ "$1" == "clean" ]]; then
    tagged_stop_clusters
    sudo rm -rf "$TAGGED_DATA_DIR"
fi
